// SPDX-License-Identifier: MIT
#include "engine/files/file_kind.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/pickle_bytes.h"

namespace msd {
namespace {

std::string kind_of(const std::string& file) { return foreign_kind(test::as_bytes(file)); }

// A header as tar writes it: name, sizes, the sum of all bytes in octal; `magic` as of POSIX.
std::string tar_of(const std::string& name, const std::string& magic) {
  std::string header(512, '\0');
  header.replace(0, name.size(), name);
  header.replace(100, 8, std::string("0000644\0", 8));
  header.replace(124, 12, std::string("00000000003\0", 12));
  header.replace(148, 8, "        ");
  header.replace(257, magic.size(), magic);
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  std::string digits;
  for (int i = 0; i < 6; ++i, sum /= 8) digits.insert(0, 1, static_cast<char>('0' + sum % 8));
  return header.replace(148, 8, digits + std::string("\0 ", 2)) + std::string(512, 'x');
}

TEST(ForeignFile, IsCalledWhatItIs) {
  struct Case {
    std::string file;
    const char* kind;
  };
  const Case cases[] = {
      {"", "an empty file"},
      {"<!DOCTYPE html>\n<html><head>", "an HTML page"},
      {"\n\n  <HTML><body>404", "an HTML page"},
      {"\xef\xbb\xbf<html>", "an HTML page"},
      {"<?xml version='1.0'?><Error><Code>NoSuchKey", "an XML document"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "a Git LFS"},
      {tar_of("model.pth", std::string("ustar\0", 6)), "a tar archive"},
      {tar_of("model.pth", ""), "the first is model.pth"},
      {tar_of("sys_info", ""), "PyTorch before 0.1.10"},
      {std::string("\x1f\x8b\x08\0", 4), "a gzip archive"},
      {"BZh91AY&SY", "a bzip2 archive"},
      {std::string("\xfd\x37zXZ\0\0", 7), "an xz archive"},
      {"\x28\xb5\x2f\xfd rest", "a zstd archive"},
      {"\x89HDF\r\n\x1a\n rest", "an HDF5 file"},
      {"\x93NUMPY\1", "a NumPy array"},
      {"\x89PNG\r\n\x1a\n rest", "a PNG image"},
      {"\xff\xd8\xff\xe0", "a JPEG image"},
      {"\x80\x04\x95 rest", "a pickle that torch.save did not write"},
      {"(dp0\nVa\np1\nI1\ns.", "a pickle that torch.save did not write"},
      {std::string("\x08\x07\x12\x07pytorch\x1a\x05") + "2.1.0:\x10", "an ONNX model"},
      {std::string(4096, '\0'), "full of zeros"},
      {"{\"a\": 1}\n", "JSON"},
      {"Access denied.\n", "it begins \"Access denied.\""}};
  for (const Case& c : cases) {
    EXPECT_NE(kind_of(c.file).find(c.kind), std::string::npos) << c.kind << ": " << kind_of(c.file);
  }
}

TEST(ForeignFile, OfOtherBytesNothingIsSaid) {
  EXPECT_EQ(kind_of("\x01\x9f\xe3 random"), "");
  std::string broken = tar_of("model.pth", "");
  broken[0] = '\xee';
  EXPECT_EQ(kind_of(broken), "");
  EXPECT_EQ(kind_of(std::string(600, '\xff')), "");
}

}  // namespace
}  // namespace msd
