// SPDX-License-Identifier: MIT
#include <png.h>

#include <array>
#include <csetjmp>
#include <cstdio>
#include <cstring>

#include "data/decoders/c_library.h"
#include "data/decoders/decoders.h"

namespace msd {
namespace {

class PngFile {
 public:
  explicit PngFile(EncodedImage file) : file_(file), left_(file) {}
  ~PngFile() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngFile(const PngFile&) = delete;
  PngFile& operator=(const PngFile&) = delete;

  Image decode();

 private:
  [[noreturn]] static void on_error(png_structp png, png_const_charp why);
  static void on_warning(png_structp, png_const_charp) {}
  static void read(png_structp png, png_bytep to, std::size_t size);

  template <typename Step>
  void run(const Step& step) {
    if (!succeeds(failed_, step)) refuse_image(why_.data());
  }

  EncodedImage file_, left_;
  std::jmp_buf failed_{};
  std::array<char, 200> why_{};
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

void PngFile::on_error(png_structp png, png_const_charp why) {
  PngFile& self = *static_cast<PngFile*>(png_get_error_ptr(png));
  std::snprintf(self.why_.data(), self.why_.size(), "%s", why);
  std::longjmp(self.failed_, 1);
}

void PngFile::read(png_structp png, png_bytep to, std::size_t size) {
  PngFile& self = *static_cast<PngFile*>(png_get_io_ptr(png));
  if (size > self.left_.size()) png_error(png, kImageCutShort);
  std::memcpy(to, self.left_.data(), size);
  self.left_ = self.left_.subspan(size);
}

Image PngFile::decode() {
  run([this] {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, &on_error, &on_warning);
    info_ = png_ == nullptr ? nullptr : png_create_info_struct(png_);
  });
  if (info_ == nullptr) refuse_image("no memory, or not the libpng that this was built with");
  run([this] {
    png_set_read_fn(png_, this, &read);
    png_set_crc_action(png_, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    // Only what pixels are made of: no profile, no text, no gamma.
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
    png_read_info(png_, info_);
    png_set_expand_gray_1_2_4_to_8(png_);
    png_set_palette_to_rgb(png_);
    png_set_strip_16(png_);
    png_set_strip_alpha(png_);
    png_set_gray_to_rgb(png_);
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
  });
  // Deflate makes at most 1032 bytes of one, each of up to 8 pixels.
  Image image = blank_image(png_get_image_height(png_, info_), png_get_image_width(png_, info_),
                            file_, std::int64_t{1032} * 8);
  const auto row_bytes = static_cast<std::size_t>(image.w) * 3;
  if (png_get_rowbytes(png_, info_) != row_bytes) refuse_image("its pixels are no colours");
  std::vector<png_bytep> rows;
  for (std::size_t y = 0; y < static_cast<std::size_t>(image.h); ++y) {
    rows.push_back(image.pixels.data() + y * row_bytes);
  }
  run([&] {
    png_read_image(png_, rows.data());
    png_read_end(png_, nullptr);
  });
  return image;
}

}  // namespace

Image decode_png(EncodedImage file) {
  constexpr std::size_t kFirstChunk = 12;
  if (big_endian(file, kFirstChunk, 4) == 0x43674249) {  // CgBI
    refuse_image("a PNG as Apple's tools change it for the iPhone, CgBI; make a usual one of it");
  }
  return PngFile(file).decode();
}

}  // namespace msd
