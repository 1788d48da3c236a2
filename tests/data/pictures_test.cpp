// SPDX-License-Identifier: MIT
// The files of pictures/, each with the pixels that Pillow reads of it or the words of its refusal.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "data/image_file.h"
#include "tests/support/errors.h"

namespace msd {
namespace {

namespace fs = std::filesystem;
using test::throws;

std::vector<std::string> pictures(const char* twin) {
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(MSD_PICTURES)) {
    if (fs::exists(entry.path().string() + twin)) paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

// Decoders of JPEG and lossy WebP may round otherwise; all else is exact, but for 5 and 6 bits.
TEST(Pictures, HaveThePixelsThatPillowReads) {
  const std::vector<std::string> paths = pictures(".ppm");
  EXPECT_GT(paths.size(), 80U);
  for (const std::string& path : paths) {
    SCOPED_TRACE(path);
    Image got, want;
    ASSERT_NO_THROW(got = decode_image_file(path));
    ASSERT_NO_THROW(want = decode_image_file(path + ".ppm"));
    ASSERT_EQ(got.h, want.h);
    ASSERT_EQ(got.w, want.w);
    ASSERT_EQ(got.pixels.size(), want.pixels.size());
    int most = 0;
    for (std::size_t i = 0; i < want.pixels.size(); ++i) {
      most = std::max(most, std::abs(int{got.pixels[i]} - int{want.pixels[i]}));
    }
    EXPECT_LE(most, path.find("jpeg") == path.npos && path.find("lossy") == path.npos ? 1 : 2);
  }
}

TEST(Pictures, AreRefusedInTheWordsBesideThem) {
  const std::vector<std::string> paths = pictures(".txt");
  EXPECT_GT(paths.size(), 15U);
  for (const std::string& path : paths) {
    std::ifstream file(path + ".txt");
    std::string words;
    ASSERT_TRUE(std::getline(file, words)) << path;
    EXPECT_TRUE(throws<FormatError>([&] { decode_image_file(path); }, {path, words})) << path;
  }
}

TEST(Pictures, AreTheSameInManyThreads) {
  const std::vector<std::string> paths = pictures(".ppm");
  const auto decode_all = [&paths] {
    std::vector<Image> images;
    for (const std::string& path : paths) images.push_back(decode_image_file(path));
    return images;
  };
  std::vector<std::vector<Image>> found(3);
  std::vector<std::thread> threads;
  for (std::vector<Image>& images : found) threads.emplace_back([&] { images = decode_all(); });
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < paths.size(); ++i) {
    EXPECT_EQ(found[0][i].pixels, found[1][i].pixels) << paths[i];
    EXPECT_EQ(found[0][i].pixels, found[2][i].pixels) << paths[i];
  }
}

// Whatever is cut off, no pixel is made up. What a file has behind its pixels may be missing.
TEST(Pictures, AreRefusedOrWholeWhereverTheyAreCut) {
  const fs::path folder = fs::path(MSD_PICTURES);
  for (const char* name :
       {"jpeg_420.jpg", "jpeg_progressive.jpg", "jpeg_arithmetic.jpg", "png_interlaced.png",
        "webp_lossy.webp", "webp_lossless_alpha.webp", "webp_animation.webp", "bmp_8.bmp",
        "bmp_565.bmp", "bmp_rle4.bmp", "gif_interlaced.gif", "pnm_p5_65535.pgm", "tga_32.tga",
        "tga_palette_runs.tga"}) {
    SCOPED_TRACE(name);
    std::ifstream file(folder / name, std::ios::binary);
    const std::string whole{std::istreambuf_iterator<char>(file), {}};
    const std::vector<std::uint8_t> pixels = decode_image(std::as_bytes(std::span(whole))).pixels;
    std::size_t refused = 0;
    for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
      try {
        const Image image = decode_image(std::as_bytes(std::span(whole).first(bytes)));
        EXPECT_EQ(image.pixels, pixels) << bytes << " of " << whole.size();
      } catch (const FormatError&) {
        ++refused;
      }
    }
    constexpr std::size_t kFooterOfTga = 26, kEndOfRuns = 2;
    EXPECT_GE(refused + kFooterOfTga + kEndOfRuns, whole.size());
  }
}

TEST(Pictures, OfOtherKindsAreCalledByTheirNames) {
  using namespace std::string_literals;
  const std::pair<std::string, const char*> kinds[] = {
      {"", "an empty file"},
      {"\0\0\0\x1c"
       "ftypavif\0\0\0\0avifmif1miaf"s,
       "an AVIF image"},
      {"\0\0\0\x18"
       "ftypheic\0\0\0\0mif1heic"s,
       "a HEIC image"},
      {"\0\0\0\x18"
       "ftypisom\0\0\0\0isommp42"s,
       "a video"},
      {"II*\0\x08\0\0\0"s, "a TIFF image"},
      {"MM\0*\0\0\0\x08"s, "a TIFF image"},
      {"8BPS\0\1"s, "a Photoshop document"},
      {"%PDF-1.7\n", "a PDF document"},
      {"<?xml version=\"1.0\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\"/>", "an SVG drawing"},
      {"<svg/>", "an SVG drawing"},
      {"\n<!DOCTYPE html>\n<html>", "an HTML page"},
      {"<HTML><body>404</body></HTML>", "an HTML page"},
      {"\xff\x0a\xfa\x1f"s, "a JPEG XL image"},
      {"\0\0\0\x0cJXL \x0d\x0a\x87\x0a"s, "a JPEG XL image"},
      {"\0\0\0\x0cjP  \x0d\x0a\x87\x0a"s, "a JPEG 2000 image"},
      {"\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0\x68\4\0\0\x16\0\0\0"s, "an icon"},
      {"\0\0\2\0\1\0\x10\x10\0\0\1\0\x20\0\x68\4\0\0\x16\0\0\0"s, "a cursor"},
      {"\x1f\x8b\x08\0"s, "a gzip archive"},
      {"PK\3\4\x14\0"s, "a zip archive"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
       "a git-lfs pointer"},
      {std::string(5000, '\0'), "nothing but zeros"},
      {"\x89PNG\n\x1a\n\0\0\0\x0dIHDR"s, "a PNG whose first bytes"},
      {"P2 1 1 255 7\n", "plain PGM"},
      {"P7\nWIDTH 1\n", "a PAM image"},
      {"RIFF\x24\0\0\0WAVEfmt "s, "a RIFF file"},
      {"Not found\n", "text"},
  };
  for (const auto& kind : kinds) {
    EXPECT_TRUE(throws<FormatError>([&] { decode_image(std::as_bytes(std::span(kind.first))); },
                                    {"not a JPEG, PNG", "but "s + kind.second}))
        << kind.second;
  }
  const std::string unknown = "\x07\x01\x02\x03\x80\xff"s;
  EXPECT_TRUE(
      throws<FormatError>([&] { decode_image(std::as_bytes(std::span(unknown))); }, {"TGA image"}));
}

}  // namespace
}  // namespace msd
