// SPDX-License-Identifier: MIT
#include <algorithm>
#include <string_view>

#include "data/decoders/decoders.h"
#include "kernels/check.h"

namespace msd {
namespace {

/// Reads the numbers of a header: decimal, between them spaces and comments to the line's end.
class PnmHeader {
 public:
  explicit PnmHeader(EncodedImage file)
      : text_(reinterpret_cast<const char*>(file.data()), file.size()) {}

  std::int64_t number() {
    for (;;) {
      at_ = std::min(text_.find_first_not_of(kSpaces, at_), text_.size());
      if (!text_.substr(at_).starts_with('#')) break;
      at_ = std::min(text_.find_first_of("\n\r", at_), text_.size());
    }
    std::int64_t value = 0;
    const std::size_t first = at_;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      value = value * 10 + (text_[at_] - '0');
      if (at_ - first >= 9) refuse_image("a number of its header is too large");
    }
    if (at_ == text_.size()) refuse_image(kImageCutShort);
    if (at_ == first) refuse_image("its header has something else than a number");
    return value;
  }

  /// Behind the one space that ends the header.
  std::size_t end() const {
    if (kSpaces.find(text_[at_]) == kSpaces.npos) refuse_image("its header does not end");
    return at_ + 1;
  }

 private:
  static constexpr std::string_view kSpaces = " \t\n\v\f\r";
  std::string_view text_;
  std::size_t at_ = 2;  // behind the signature
};

}  // namespace

Image decode_pnm(EncodedImage file) {
  const auto kind = std::to_integer<char>(file[1]);
  PnmHeader header(file);
  const std::int64_t w = header.number(), h = header.number();
  const std::int64_t greatest = kind == '4' ? 1 : header.number();
  if (greatest < 1 || greatest > 65535) refuse_image(message("greatest value ", greatest));
  Image image = blank_image(h, w, file, 8);
  const auto columns = static_cast<std::size_t>(w), rows = static_cast<std::size_t>(h);
  const std::size_t bytes = greatest > 255 ? 2 : 1, channels = kind == '6' ? 3 : 1;
  const std::size_t row_bytes = kind == '4' ? (columns + 7) / 8 : columns * channels * bytes;
  const EncodedImage content = part_of(file, header.end(), rows * row_bytes);
  std::uint8_t* to = image.pixels.data();
  for (std::size_t y = 0; y < rows; ++y) {
    const EncodedImage row = content.subspan(y * row_bytes, row_bytes);
    for (std::size_t i = 0; i < columns * channels; ++i) {
      std::int64_t value = 0;
      if (kind == '4') {  // 1 is black
        value = std::to_integer<std::int64_t>(~row[i / 8] >> (7 - i % 8) & std::byte{1});
      } else if (bytes == 1) {
        value = std::to_integer<std::int64_t>(row[i]);
      } else {
        value = big_endian(row, 2 * i, 2);
      }
      if (greatest != 255) value = (std::min(value, greatest) * 255 + greatest / 2) / greatest;
      to = std::fill_n(to, 3 / channels, static_cast<std::uint8_t>(value));
    }
  }
  return image;
}

}  // namespace msd
