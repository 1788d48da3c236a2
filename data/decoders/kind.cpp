// SPDX-License-Identifier: MIT
#include "data/decoders/kind.h"

#include <algorithm>
#include <string_view>

#include "data/decoders/decoders.h"

namespace msd {
namespace {

using namespace std::string_view_literals;

std::string_view text_of(EncodedImage file, std::size_t at, std::size_t most) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  return text.substr(std::min(at, text.size()), most);
}

struct Signature {
  std::size_t at;
  std::string_view bytes;
  std::string_view name;
};

constexpr Signature kOthers[] = {
    {0, "P1"sv, "plain PBM, whose pixels are text; make a binary one of it (P4)"},
    {0, "P2"sv, "plain PGM, whose pixels are text; make a binary one of it (P5)"},
    {0, "P3"sv, "plain PPM, whose pixels are text; make a binary one of it (P6)"},
    {0, "P7\n"sv, "a PAM image"},
    {0, "PF\n"sv, "a PFM image"},
    {0, "Pf\n"sv, "a PFM image"},
    {4, "ftypavif"sv, "an AVIF image"},
    {4, "ftypavis"sv, "an AVIF image"},
    {4, "ftyphei"sv, "a HEIC image"},
    {4, "ftyphev"sv, "a HEIC image"},
    {4, "ftypmif1"sv, "a HEIF image (HEIC or AVIF)"},
    {4, "ftypmsf1"sv, "a HEIF image (HEIC or AVIF)"},
    {4, "ftyp"sv, "a video (MP4 or QuickTime)"},
    {0, "II*\0"sv, "a TIFF image"},
    {0, "MM\0*"sv, "a TIFF image"},
    {0, "II+\0"sv, "a TIFF image"},
    {0, "MM\0+"sv, "a TIFF image"},
    {0, "\0\0\0\x0cJXL "sv, "a JPEG XL image"},
    {0, "\xff\x0a"sv, "a JPEG XL image"},
    {0, "\0\0\0\x0cjP  "sv, "a JPEG 2000 image"},
    {0, "\xff\x4f\xff\x51"sv, "a JPEG 2000 image"},
    {0, "8BPS"sv, "a Photoshop document (PSD)"},
    {0, "%PDF"sv, "a PDF document"},
    {0, "%!PS"sv, "a PostScript document"},
    {0, "\xc5\xd0\xd3\xc6"sv, "a PostScript document"},
    {0, "\0\0\1\0"sv, "an icon (ICO)"},
    {0, "\0\0\2\0"sv, "a cursor (CUR)"},
    {0, "icns"sv, "an icon (ICNS)"},
    {0, "\x76\x2f\x31\x01"sv, "an OpenEXR image"},
    {0, "#?RADIANCE"sv, "a Radiance HDR image"},
    {0, "DDS "sv, "a DDS texture"},
    {0, "qoif"sv, "a QOI image"},
    {0, "\x89PNG"sv, "a PNG whose first bytes a transfer as text has changed"},
    {0, "\x8aMNG"sv, "an MNG animation"},
    {0, "\x8bJNG"sv, "a JNG image"},
    {0, "FORM"sv, "an IFF file"},
    {0, "RIFF"sv, "a RIFF file (sound or video)"},
    {128, "DICM"sv, "a DICOM image"},
    {0, "SIMPLE  ="sv, "a FITS image"},
    {0, "\x1f\x8b"sv, "a gzip archive; unpack it first"},
    {0, "PK\3\4"sv, "a zip archive; unpack it first"},
    {0, "BZh"sv, "a bzip2 archive; unpack it first"},
    {0,
     "\xfd"
     "7zXZ\0"sv,
     "an xz archive; unpack it first"},
    {0, "\x28\xb5\x2f\xfd"sv, "a zstd archive; unpack it first"},
    {0, "7z\xbc\xaf\x27\x1c"sv, "a 7z archive; unpack it first"},
    {0, "Rar!"sv, "a RAR archive; unpack it first"},
    {257, "ustar"sv, "a tar archive; unpack it first"},
    {0, "\x93NUMPY"sv, "a NumPy array"},
    {0, "\x89HDF\r\n"sv, "an HDF5 file"},
    {0, "version https://git-lfs"sv, "a git-lfs pointer; git lfs pull brings the file itself"},
};

/// Texts begin in many ways: what they hold says what they are.
std::string name_of_text(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\r\n";
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // a byte order mark
  text.remove_prefix(std::min(text.find_first_not_of(kSpaces), text.size()));
  std::string lower(text);
  for (char& letter : lower) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  }
  if (lower.starts_with("<!doctype html") || lower.starts_with("<html")) return "an HTML page";
  if (lower.starts_with("<") && lower.find("<svg") != lower.npos) return "an SVG drawing";
  if (lower.starts_with("<?xml")) return "an XML document";
  const bool plain = std::all_of(text.begin(), text.end(), [](char letter) {
    const auto byte = static_cast<unsigned char>(letter);
    return byte >= 0x20 || (byte >= 0x09 && byte <= 0x0d);
  });
  return plain ? "text" : "";
}

}  // namespace

ImageKind image_kind(EncodedImage file) {
  const std::string_view head = text_of(file, 0, 12);
  if (head.starts_with("\xff\xd8")) return ImageKind::jpeg;
  if (head.starts_with("\x89PNG\r\n\x1a\n")) return ImageKind::png;
  if (head.starts_with("RIFF") && head.ends_with("WEBP")) return ImageKind::webp;
  if (head.starts_with("BM")) return ImageKind::bmp;
  if (head.starts_with("GIF87a") || head.starts_with("GIF89a")) return ImageKind::gif;
  if (head.size() > 2 && head[0] == 'P' && head[1] >= '4' && head[1] <= '6' &&
      " \t\n\v\f\r#"sv.find(head[2]) != head.npos) {
    return ImageKind::pnm;
  }
  return looks_like_tga(file) ? ImageKind::tga : ImageKind::other;
}

std::string name_of_other(EncodedImage file) {
  if (file.empty()) return "an empty file";
  for (const Signature& other : kOthers) {
    if (text_of(file, other.at, other.bytes.size()) == other.bytes) return std::string(other.name);
  }
  if (std::all_of(file.begin(), file.end(), [](std::byte byte) { return byte == std::byte{0}; })) {
    return "nothing but zeros";
  }
  constexpr std::size_t kEnough = 4096;
  return name_of_text(text_of(file, 0, kEnough));
}

}  // namespace msd
