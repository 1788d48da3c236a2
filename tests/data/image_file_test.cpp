// SPDX-License-Identifier: MIT
#include "data/image_file.h"

#include <gtest/gtest.h>

#include <span>

#include "kernels/error.h"
#include "tests/support/errors.h"
#include "tests/support/image_bytes.h"
#include "tests/support/temp_folder.h"

namespace msd {
namespace {

using test::TempFolder;
using test::throws;

using test::bmp;
using test::Bytes;
using test::jpeg;
using test::noise;
using test::png;
using test::ppm;

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
  const std::string head = "P5 4 3 255\n";
  Bytes pgm(head.begin(), head.end());
  pgm.insert(pgm.end(), one.begin(), one.end());
  expect_same(decode_image_file(folder.write("1.ppm", pgm)), grey);
}

TEST(DecodeImageFile, NamesTheFileItCannotRead) {
  const TempFolder folder;
  EXPECT_TRUE(throws<IoError>([&] { decode_image_file(folder.path("none.png")); },
                              {folder.path("none.png"), "No such file"}));
  EXPECT_TRUE(throws<IoError>([&] { decode_image_file(folder.path().string()); },
                              {folder.path().string(), "directory"}));
  const auto refuse = [&](const Bytes& bytes, const std::string& part) {
    const std::string path = folder.write("bad.png", bytes);
    EXPECT_TRUE(throws<FormatError>([&] { decode_image_file(path); }, {path, part}));
  };
  refuse({}, "not a JPEG, PNG, WebP, BMP, GIF, PNM or TGA image, but an empty file");
  refuse({'h', 'e', 'l', 'l', 'o', '\n'}, "not a JPEG");
  refuse({'G', 'I', 'F', '8', '9', 'a', 1, 0, 1, 0, 0, 0, 0}, "cut short");
  const Image image = noise(5, 7);
  Bytes bytes = png(5, 7, 3, image.pixels);
  bytes.resize(bytes.size() / 2);
  refuse(bytes, "cannot be decoded (the file is cut short)");
  const std::string huge = "P6 40000 40000 255\n";
  refuse(Bytes(huge.begin(), huge.end()), "40000x40000");
}

TEST(DecodeImageFile, ReadsJpeg) {
  const TempFolder folder;
  const Image image = decode_image_file(folder.write("a.jpg", jpeg()));
  ASSERT_EQ(image.h, 8);
  ASSERT_EQ(image.w, 16);
  for (std::size_t i = 0; i < image.pixels.size(); ++i) {
    constexpr int kLeft[] = {201, 60, 40}, kRight[] = {30, 90, 210};
    EXPECT_NEAR(image.pixels[i], i / 3 % 16 < 8 ? kLeft[i % 3] : kRight[i % 3], 2) << i;
  }
}

// The decoder itself fills up what is missing of a JPEG, a BMP or a PPM and says nothing.
TEST(DecodeImageFile, RefusesAFileCutShortAnywhere) {
  const Image image = noise(5, 8);
  for (const Bytes& whole : {jpeg(), png(5, 8, 3, image.pixels), bmp(image), ppm(image)}) {
    EXPECT_NO_THROW(decode_image(std::as_bytes(std::span(whole))));
    for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
      const std::span part = std::span(whole).first(bytes);
      EXPECT_THROW(decode_image(std::as_bytes(part)), FormatError)
          << bytes << " of " << whole.size();
    }
  }
}

TEST(DecodeImageFile, ReadsABmpFromItsTopRow) {
  // The rows from the bottom up, and the height negative: the same image.
  const Image image = noise(2, 4);
  Bytes bytes = bmp(image);
  constexpr std::size_t kHeight = 22, kPixels = 54, kRow = 12;
  std::swap_ranges(bytes.begin() + kPixels, bytes.begin() + kPixels + kRow,
                   bytes.begin() + kPixels + kRow);
  const Bytes minus_two = {0xfe, 0xff, 0xff, 0xff};
  std::copy(minus_two.begin(), minus_two.end(), bytes.begin() + kHeight);
  expect_same(decode_image(std::as_bytes(std::span(bytes))), image);
}

TEST(DecodeImageFile, SeesEveryChangedByteOfAPng) {
  const Image image = noise(2, 3);
  const Bytes whole = png(2, 3, 3, image.pixels);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    Bytes damaged = whole;
    damaged[at] ^= 1;
    EXPECT_THROW(decode_image(std::as_bytes(std::span(damaged))), FormatError) << at;
  }
}

TEST(DecodeImageFile, RefusesWhatItsBytesCannotHold) {
  const auto refuse = [](const Bytes& bytes, const std::string& part) {
    EXPECT_TRUE(
        throws<FormatError>([&] { decode_image(std::as_bytes(std::span(bytes))); }, {part}));
  };
  const auto text = [](const std::string& header) { return Bytes(header.begin(), header.end()); };
  refuse(text("P6 9000 9000 255\n..."), "cannot hold 9000x9000");
  refuse(text("P5 11111111111111 1 255\n"), "too large");
  Bytes tables = jpeg();
  const Bytes marker = {0xff, 0xc4};
  const auto found = std::search(tables.begin(), tables.end(), marker.begin(), marker.end());
  std::fill_n(found + 5, 2, std::uint8_t{255});  // codes of 1 and of 2 bits
  refuse(tables, "Bogus Huffman table");
}

// Each kind of table at a number that no scan names, as if it were missing. For a Huffman table the
// decoder takes the standard's (as frames of Motion JPEG want), to which these data do not belong.
TEST(DecodeImageFile, RefusesAScanInFrontOfItsTables) {
  const TempFolder folder;
  std::size_t tried = 0;
  for (const auto& [marker, name] :
       {std::pair<std::uint8_t, const char*>{0xc4, "Corrupt JPEG data"}, {0xdb, "Quantization"}}) {
    Bytes bytes = jpeg();
    for (std::size_t at = 2; bytes[at + 1] != 0xda;
         at += 2u + bytes[at + 2] * 256u + bytes[at + 3]) {
      if (bytes[at + 1] != marker) continue;
      bytes[at + 4] |= 3;
      const std::string path = folder.write("a.jpg", bytes);
      EXPECT_TRUE(throws<FormatError>([&] { decode_image_file(path); }, {path, name})) << at;
      bytes = jpeg();
      ++tried;
    }
  }
  EXPECT_EQ(tried, 5u);
}

TEST(DecodeImageFile, ReadsEveryWidth) {
  for (std::int64_t w = 30; w < 100; ++w) {
    const Image image = noise(1, w);
    for (const Bytes& bytes : {ppm(image), bmp(image), png(1, w, 3, image.pixels)}) {
      expect_same(decode_image(std::as_bytes(std::span(bytes))), image);
    }
  }
}

}  // namespace
}  // namespace msd
