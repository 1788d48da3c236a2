// SPDX-License-Identifier: MIT
#include "data/image_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>

#include "engine/random.h"
#include "kernels/error.h"
#include "tests/data/temp_folder.h"

namespace msd {
namespace {

using Bytes = std::vector<std::uint8_t>;

Image noise(std::int64_t h, std::int64_t w) {
  Image image{h, w, {}};
  RandomStream random(9, RandomPurpose::test);
  for (std::int64_t i = 0; i < h * w * 3; ++i) {
    image.pixels.push_back(static_cast<std::uint8_t>(random.below(256)));
  }
  return image;
}

Bytes ppm(const Image& image) {
  const std::string head =
      "P6\n" + std::to_string(image.w) + " " + std::to_string(image.h) + "\n255\n";
  Bytes bytes(head.begin(), head.end());
  bytes.insert(bytes.end(), image.pixels.begin(), image.pixels.end());
  return bytes;
}

/// 24 bits a pixel, bottom row first, blue green red, rows of a multiple of 4 bytes.
Bytes bmp(const Image& image) {
  const std::int64_t row = (image.w * 3 + 3) / 4 * 4;
  Bytes bytes = {'B', 'M'};
  const auto put = [&bytes](std::int64_t value, int count) {
    for (int i = 0; i < count; ++i) bytes.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  };
  put(54 + row * image.h, 4);
  put(0, 4);
  put(54, 4);
  put(40, 4);
  put(image.w, 4);
  put(image.h, 4);
  put(1, 2);
  put(24, 2);
  bytes.insert(bytes.end(), 24, 0);
  for (std::int64_t y = image.h - 1; y >= 0; --y) {
    for (std::int64_t x = 0; x < image.w; ++x) {
      for (std::int64_t c = 2; c >= 0; --c) {
        bytes.push_back(image.pixels[static_cast<std::size_t>((y * image.w + x) * 3 + c)]);
      }
    }
    for (std::int64_t x = image.w * 3; x < row; ++x) bytes.push_back(0);
  }
  return bytes;
}

/// channels 1 grey, 2 grey + alpha, 3 colour, 4 colour + alpha; stored, not compressed.
Bytes png(std::int64_t h, std::int64_t w, int channels, const Bytes& pixels) {
  Bytes bytes = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  const auto put = [](Bytes& to, std::uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) {
      to.push_back(static_cast<std::uint8_t>(value >> shift));
    }
  };
  const auto chunk = [&](const char* name, const Bytes& body) {
    put(bytes, static_cast<std::uint32_t>(body.size()));
    Bytes checked(name, name + 4);
    checked.insert(checked.end(), body.begin(), body.end());
    std::uint32_t crc = 0xffffffff;
    for (const std::uint8_t byte : checked) {
      crc ^= byte;
      for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0u);
    }
    bytes.insert(bytes.end(), checked.begin(), checked.end());
    put(bytes, ~crc);
  };
  Bytes header;
  put(header, static_cast<std::uint32_t>(w));
  put(header, static_cast<std::uint32_t>(h));
  const std::array<std::uint8_t, 5> kind = {0, 0, 4, 2, 6};
  header.insert(header.end(), {8, kind[static_cast<std::size_t>(channels)], 0, 0, 0});
  chunk("IHDR", header);
  Bytes raw;
  for (std::int64_t y = 0; y < h; ++y) {
    raw.push_back(0);  // no filter
    const auto row = pixels.begin() + y * w * channels;
    raw.insert(raw.end(), row, row + w * channels);
  }
  Bytes packed = {0x78, 0x01, 1};
  for (const std::uint32_t size :
       {static_cast<std::uint32_t>(raw.size()), ~static_cast<std::uint32_t>(raw.size())}) {
    packed.push_back(static_cast<std::uint8_t>(size));
    packed.push_back(static_cast<std::uint8_t>(size >> 8));
  }
  packed.insert(packed.end(), raw.begin(), raw.end());
  std::uint32_t a = 1, b = 0;
  for (const std::uint8_t byte : raw) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  put(packed, b << 16 | a);
  chunk("IDAT", packed);
  chunk("IEND", {});
  return bytes;
}

void expect_same(const Image& got, const Image& want) {
  EXPECT_EQ(got.h, want.h);
  EXPECT_EQ(got.w, want.w);
  EXPECT_EQ(got.pixels, want.pixels);
}

TEST(DecodeImageFile, ReadsColourInEveryLosslessFormat) {
  const TempFolder folder;
  for (const auto& [h, w] : {std::pair{1, 1}, std::pair{5, 7}, std::pair{32, 32}}) {
    const Image image = noise(h, w);
    expect_same(decode_image_file(folder.write("a.ppm", ppm(image))), image);
    expect_same(decode_image_file(folder.write("a.bmp", bmp(image))), image);
    expect_same(decode_image_file(folder.write("a.png", png(h, w, 3, image.pixels))), image);
    // What a file is follows from its content, not from its name.
    expect_same(decode_image_file(folder.write("a.jpg", ppm(image))), image);
  }
}

TEST(DecodeImageFile, ExpandsGreyscaleAndDropsTransparency) {
  const TempFolder folder;
  const Image image = noise(3, 4);
  Image grey{3, 4, {}};
  Bytes one, two, four;
  for (std::size_t i = 0; i < image.pixels.size(); i += 3) {
    const std::uint8_t level = image.pixels[i];
    grey.pixels.insert(grey.pixels.end(), 3, level);
    one.push_back(level);
    two.insert(two.end(), {level, static_cast<std::uint8_t>(i)});
    four.insert(four.end(),
                {level, image.pixels[i + 1], image.pixels[i + 2], static_cast<std::uint8_t>(i)});
  }
  expect_same(decode_image_file(folder.write("1.png", png(3, 4, 1, one))), grey);
  expect_same(decode_image_file(folder.write("2.png", png(3, 4, 2, two))), grey);
  expect_same(decode_image_file(folder.write("4.png", png(3, 4, 4, four))), image);
  Bytes pgm = {'P', '5', ' ', '4', ' ', '3', ' ', '2', '5', '5', '\n'};
  pgm.insert(pgm.end(), one.begin(), one.end());
  expect_same(decode_image_file(folder.write("1.ppm", pgm)), grey);
}

TEST(DecodeImageFile, NamesTheFileItCannotRead) {
  const TempFolder folder;
  expect_error<IoError>([&] { decode_image_file(folder.path("none.png")); },
                        {folder.path("none.png"), "No such file"});
  expect_error<IoError>([&] { decode_image_file(folder.path()); }, {folder.path(), "directory"});
  const auto refuse = [&](const Bytes& bytes, const std::string& part) {
    const std::string path = folder.write("bad.png", bytes);
    expect_error<FormatError>([&] { decode_image_file(path); }, {path, part});
  };
  refuse({}, "not a JPEG, PNG, BMP or PPM image");
  refuse({'h', 'e', 'l', 'l', 'o', '\n'}, "not a JPEG");
  refuse({'G', 'I', 'F', '8', '9', 'a', 1, 0, 1, 0, 0, 0, 0}, "not a JPEG");
  const Image image = noise(5, 7);
  Bytes bytes = png(5, 7, 3, image.pixels);
  bytes.resize(bytes.size() / 2);
  refuse(bytes, "cannot be decoded");
  const std::string huge = "P6 40000 40000 255\n";
  refuse(Bytes(huge.begin(), huge.end()), "40000x40000");
}

TEST(ResizeTo, KeepsTheSameSizeAndFlatColour) {
  const Image image = noise(6, 5);
  expect_same(resize_to(image, 6, 5), image);
  const Image flat{3, 4, Bytes(36, 77)};
  for (const std::int64_t size : {1, 2, 3, 5, 17}) {
    EXPECT_EQ(resize_to(flat, size, 2 * size).pixels,
              Bytes(static_cast<std::size_t>(size * size * 6), 77));
  }
}

/// The definition, straight: all old pixels, weighted by the product of two triangles.
double naive_resize(const Image& image, std::int64_t h, std::int64_t w, std::int64_t y,
                    std::int64_t x, std::int64_t c) {
  const double scale_y = static_cast<double>(image.h) / static_cast<double>(h);
  const double scale_x = static_cast<double>(image.w) / static_cast<double>(w);
  const auto triangle = [](double old_center, double center, double width) {
    return std::max(0.0, 1.0 - std::abs(old_center - center) / width);
  };
  double sum = 0.0, weights = 0.0;
  for (std::int64_t v = 0; v < image.h; ++v) {
    for (std::int64_t u = 0; u < image.w; ++u) {
      const double weight =
          triangle(static_cast<double>(v) + 0.5, (static_cast<double>(y) + 0.5) * scale_y,
                   std::max(1.0, scale_y)) *
          triangle(static_cast<double>(u) + 0.5, (static_cast<double>(x) + 0.5) * scale_x,
                   std::max(1.0, scale_x));
      weights += weight;
      sum += weight * image.pixels[static_cast<std::size_t>((v * image.w + u) * 3 + c)];
    }
  }
  return sum / weights;
}

TEST(ResizeTo, IsTheDocumentedAverage) {
  const Image image = noise(13, 10);
  for (const auto& [h, w] : {std::pair{26, 20}, std::pair{13, 31}, std::pair{5, 4}, std::pair{1, 1},
                             std::pair{12, 9}, std::pair{40, 3}}) {
    const Image out = resize_to(image, h, w);
    ASSERT_EQ(out.pixels.size(), static_cast<std::size_t>(h * w * 3));
    std::size_t at = 0;
    for (std::int64_t y = 0; y < h; ++y) {
      for (std::int64_t x = 0; x < w; ++x) {
        for (std::int64_t c = 0; c < 3; ++c, ++at) {
          // Rounded to the next grey level; floats in between may move a tie.
          ASSERT_NEAR(out.pixels[at], naive_resize(image, h, w, y, x, c), 0.5001)
              << h << "x" << w << " at " << y << ", " << x;
        }
      }
    }
  }
}

TEST(CenterCrop, TakesTheMiddle) {
  const Image image = noise(5, 6);
  const Image out = center_crop(image, 2, 3);
  Bytes expected;
  for (std::size_t y = 1; y < 3; ++y) {
    for (std::size_t e = 3; e < 12; ++e) expected.push_back(image.pixels[y * 18 + e]);
  }
  EXPECT_EQ(out.h, 2);
  EXPECT_EQ(out.w, 3);
  EXPECT_EQ(out.pixels, expected);
  expect_same(center_crop(image, 5, 6), image);
  EXPECT_THROW(center_crop(image, 6, 6), ShapeError);
  EXPECT_THROW(center_crop(image, 5, 0), ShapeError);
}

TEST(FitTo, ResizesTheShortSideAndCrops) {
  const Image image = noise(40, 60);
  expect_same(fit_to(image, 32, 32), center_crop(resize_to(image, 32, 48), 32, 32));
  expect_same(fit_to(image, 14, 14, 16), center_crop(resize_to(image, 16, 24), 14, 14));
  expect_same(fit_to(image, 10, 60), center_crop(image, 10, 60));
  for (const auto& [h, w] :
       {std::pair{1, 1}, std::pair{3, 50}, std::pair{7, 5}, std::pair{33, 31}}) {
    const Image out = fit_to(noise(h, w), 32, 32);
    EXPECT_EQ(out.h, 32);
    EXPECT_EQ(out.w, 32);
  }
  EXPECT_THROW(fit_to(image, 14, 14, 13), ShapeError);
}

TEST(ListImageFiles, IsInByteOrderAndLeavesOutTheRest) {
  const TempFolder folder;
  for (const char* name : {"b.PNG", "a.jpg", "B.jpeg", "a10.bmp", "a2.ppm", "\xc3\xa4.JPEG",
                           "notes.txt", "png", "c.png.gz", "c.gif"}) {
    folder.write(name, Bytes{1});
  }
  folder.write("sub.png/inner.png", Bytes{1});
  std::vector<std::string> expected;
  for (const char* name : {"B.jpeg", "a.jpg", "a10.bmp", "a2.ppm", "b.PNG", "\xc3\xa4.JPEG"}) {
    expected.push_back(folder.path(name));
  }
  EXPECT_EQ(list_image_files(folder.path()), expected);
  expect_error<IoError>([&] { list_image_files(folder.path("none")); },
                        {folder.path("none"), "No such file"});
}

}  // namespace
}  // namespace msd
