// SPDX-License-Identifier: MIT
#include "data/image_file.h"

#include "data/decoders/decoders.h"
#include "data/decoders/kind.h"
#include "engine/files/file.h"
#include "kernels/check.h"

namespace msd {

Image decode_image(std::span<const std::byte> content) {
  switch (image_kind(content)) {
    case ImageKind::jpeg:
      return decode_jpeg(content);
    case ImageKind::png:
      return decode_png(content);
    case ImageKind::webp:
      return decode_webp(content);
    case ImageKind::bmp:
      return decode_bmp(content);
    case ImageKind::gif:
      return decode_gif(content);
    case ImageKind::pnm:
      return decode_pnm(content);
    case ImageKind::tga:
      return decode_tga(content);
    case ImageKind::other:
      break;
  }
  const std::string name = name_of_other(content);
  throw FormatError(message("not a ", kImageFormats, " image", name.empty() ? "" : ", but ", name));
}

Image decode_image_file(const std::string& path) {
  const std::vector<std::byte> content = read_file(path);
  try {
    return decode_image(content);
  } catch (const FormatError& error) {
    throw FormatError(path + ": " + error.what());
  }
}

}  // namespace msd
