// SPDX-License-Identifier: MIT
#include "engine/files/file_kind.h"

#include <algorithm>
#include <string_view>

#include "kernels/check.h"

namespace msd {
namespace {

struct Magic {
  std::size_t at;
  std::string_view bytes;
  const char* kind;
};

using namespace std::string_view_literals;
constexpr Magic kMagics[] = {
    {0, "version https://git-lfs.github.com/spec/"sv,
     "a Git LFS pointer, not the file it stands for; fetch that with \"git lfs pull\""},
    {0, "\x1f\x8b"sv, "a gzip archive; unpack it (gunzip, tar -xzf) and give the file in it"},
    {0, "BZh"sv, "a bzip2 archive; unpack it (bunzip2, tar -xjf) and give the file in it"},
    {0,
     "\xfd"
     "7zXZ\0"sv,
     "an xz archive; unpack it (unxz, tar -xJf) and give the file in it"},
    {0, "\x28\xb5\x2f\xfd"sv, "a zstd archive; unpack it (unzstd) and give the file in it"},
    {0, "7z\xbc\xaf\x27\x1c"sv, "a 7z archive; unpack it and give the file in it"},
    {0, "Rar!\x1a\x07"sv, "a RAR archive; unpack it and give the file in it"},
    {0, "\x89HDF\r\n\x1a\n"sv,
     "an HDF5 file, as Keras and MATLAB write them; weights are read from PyTorch's files, "
     "Torch7's and safetensors"},
    {0, "\x93NUMPY"sv, "a NumPy array (.npy); weights are read from torch.save's files"},
    {0, "GGUF"sv, "a GGUF file; weights are read from PyTorch's files, Torch7's and safetensors"},
    {4, "TFL3"sv, "a TensorFlow Lite model, which is not read"},
    {0, "\x89PNG\r\n\x1a\n"sv, "a PNG image, not weights"},
    {0, "\xff\xd8\xff"sv, "a JPEG image, not weights"},
    {0, "%PDF"sv, "a PDF document, not weights"},
    {0,
     "\x7f"
     "ELF"sv,
     "a program or library (ELF), not weights"}};

bool same_letters(std::string_view text, std::string_view lower) {
  return text.size() >= lower.size() &&
         std::equal(lower.begin(), lower.end(), text.begin(), [](char wanted, char is) {
           return wanted == (is >= 'A' && is <= 'Z' ? static_cast<char>(is - 'A' + 'a') : is);
         });
}

std::string_view without_space(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  const std::size_t from = text.find_first_not_of(" \t\r\n");
  return from == text.npos ? std::string_view() : text.substr(from);
}

// The sum of a header's bytes with the sum's own place as spaces, in octal: of tars of all ages.
bool is_tar(std::string_view text) {
  constexpr std::size_t kHeader = 512, kSumAt = 148, kSumSize = 8;
  if (text.size() < kHeader) return false;
  unsigned sum = 0, said = 0;
  for (std::size_t i = 0; i < kHeader; ++i) {
    const bool of_sum = i >= kSumAt && i < kSumAt + kSumSize;
    sum += of_sum ? ' ' : static_cast<unsigned char>(text[i]);
    if (of_sum && text[i] >= '0' && text[i] <= '7') {
      said = 8 * said + static_cast<unsigned>(text[i] - '0');
    }
  }
  return sum == said;
}

std::string tar_kind(std::string_view text) {
  const std::string first(text.substr(0, std::min<std::size_t>(100, text.find('\0'))));
  for (const char* member : {"sys_info", "pickle", "storages", "tensors"}) {
    if (first != member) continue;
    return "a tar archive of PyTorch before 0.1.10; load it with PyTorch (torch.load reads it "
           "still) and save it again: torch.save(model.state_dict(), FILE)";
  }
  return "a tar archive, which torch.save never wrote under the name .pth.tar; unpack it (tar "
         "-xf) and give the file in it (the first is " +
         printable(first) + ")";
}

// An ONNX model is a message of these fields, the first being its version.
bool looks_like_onnx(std::string_view text) {
  constexpr std::string_view kNextFields = "\x12\x1a\x22\x2a\x32\x3a\x42";
  return text.size() > 16 && text[0] == '\x08' && text[1] > 0 && text[1] < 32 &&
         kNextFields.find(text[2]) != std::string_view::npos;
}

// No control characters, and most of it of the plain alphabet.
bool is_text(std::string_view text) {
  std::size_t plain = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\n' && c != '\r' && c != '\t') || byte == 0x7f) return false;
    plain += byte < 0x80 ? 1 : 0;
  }
  return 4 * plain >= 3 * text.size();
}

}  // namespace

std::string foreign_kind(std::span<const std::byte> bytes) {
  constexpr std::size_t kLooked = 1024;
  const std::string_view all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::string_view text = all.substr(0, kLooked);
  if (text.empty()) return "an empty file, as an interrupted download or a full disk leaves it";
  for (const Magic& magic : kMagics) {
    if (text.size() > magic.at && text.substr(magic.at).starts_with(magic.bytes)) return magic.kind;
  }
  if (is_tar(text)) return tar_kind(text);
  const std::string_view words = without_space(text);
  for (const char* tag : {"<!doctype html", "<html", "<head", "<body", "<!--", "<script"}) {
    if (same_letters(words, tag)) {
      return "an HTML page, as a failed download leaves it (a login, a warning, an error); fetch "
             "the file itself";
    }
  }
  if (same_letters(words, "<?xml")) {
    return "an XML document, as a refused download leaves it; fetch the file itself";
  }
  const bool pickled = text.size() > 2 && text[0] == '\x80' && text[1] >= 2 && text[1] <= 5;
  // Protocol 0 is text.
  const bool spelled = text.starts_with("(dp") || text.starts_with("(lp") ||
                       text.starts_with("ccollections\n") || text.starts_with("ccopy_reg\n");
  if (pickled || spelled) {
    return "a pickle that torch.save did not write; load it with Python where you trust it and "
           "save the weights: torch.save(state_dict, FILE)";
  }
  if (looks_like_onnx(text)) return "an ONNX model, it seems, which is written here but not read";
  if (std::all_of(text.begin(), text.end(), [](char c) { return c == 0; })) {
    return "full of zeros, as a download that was never filled leaves it; fetch the file again";
  }
  if (is_text(text)) {
    return (words.starts_with('{') || words.starts_with('[') ? "JSON or similar text, "
                                                             : "text, ") +
           std::string("not weights; it begins \"") +
           printable(words.substr(0, std::min<std::size_t>(40, words.find('\n')))) + "\"";
  }
  return {};
}

}  // namespace msd
