// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstddef>
#include <cstdio>

#include "data/decoders/c_library.h"
#include "data/decoders/decoders.h"
#include "kernels/check.h"
// After <cstdio>, whose FILE they use.
#include <jerror.h>
#include <jpeglib.h>

namespace msd {
namespace {

class JpegFile {
 public:
  explicit JpegFile(EncodedImage file) : file_(file) {}
  ~JpegFile() { jpeg_destroy_decompress(&info_); }
  JpegFile(const JpegFile&) = delete;
  JpegFile& operator=(const JpegFile&) = delete;

  Image decode();

 private:
  static void on_error(j_common_ptr info);
  static void on_message(j_common_ptr info, int level);

  template <typename Step>
  void run(const Step& step) {
    if (!succeeds(failed_, step)) refuse_image(why_.data());
  }
  void read_header();
  void choose_colours();
  void read_scans();

  EncodedImage file_;
  jpeg_decompress_struct info_{};
  jpeg_error_mgr errors_{};
  std::jmp_buf failed_{};
  std::array<char, JMSG_LENGTH_MAX> why_{};
  std::array<bool, MAX_COMPONENTS> scanned_{};  // each component, its DC coefficients at least
};

void JpegFile::read_header() {
  info_.err = jpeg_std_error(&errors_);
  errors_.error_exit = &on_error;
  errors_.emit_message = &on_message;
  info_.client_data = this;
  run([this] {
    jpeg_create_decompress(&info_);
    jpeg_mem_src(&info_, reinterpret_cast<const unsigned char*>(file_.data()),
                 static_cast<unsigned long>(file_.size()));
    jpeg_read_header(&info_, TRUE);
  });
}

void JpegFile::on_error(j_common_ptr info) {
  JpegFile& self = *static_cast<JpegFile*>(info->client_data);
  if (info->err->msg_code == JWRN_JPEG_EOF) {
    std::snprintf(self.why_.data(), self.why_.size(), "%s", kImageCutShort);
  } else {
    info->err->format_message(info, self.why_.data());
  }
  std::longjmp(self.failed_, 1);
}

// Warnings have levels below 0. Those listed leave no pixel to a guess; after any other the library
// goes on with made-up data.
void JpegFile::on_message(j_common_ptr info, int level) {
  constexpr std::array kHarmless = {JWRN_ADOBE_XFORM, JWRN_BOGUS_PROGRESSION, JWRN_EXTRANEOUS_DATA,
                                    JWRN_JFIF_MAJOR, JWRN_NOT_SEQUENTIAL};
  if (level < 0 &&
      std::find(kHarmless.begin(), kHarmless.end(), info->err->msg_code) == kHarmless.end()) {
    on_error(info);
  }
}

void JpegFile::choose_colours() {
  if (info_.data_precision != 8) refuse_image(message(info_.data_precision, " bits a sample"));
  if (info_.num_components == 4) {
    info_.out_color_space = JCS_CMYK;
  } else if (info_.num_components == 1 || info_.num_components == 3) {
    info_.out_color_space = JCS_RGB;
  } else {
    refuse_image(message(info_.num_components, " components"));
  }
}

// All scans of a file of several, before the first row is made of them. The library takes a
// component that none of them holds for grey.
void JpegFile::read_scans() {
  constexpr int kMostScans = 100;  // each may be short and cost time like the whole picture
  int scan = 0, status = 0;
  do {
    if (info_.input_scan_number != scan) {
      scan = info_.input_scan_number;
      const bool begins = info_.progressive_mode == 0 || (info_.Ss == 0 && info_.Ah == 0);
      for (int i = 0; i < info_.comps_in_scan && begins; ++i) {
        scanned_[static_cast<std::size_t>(info_.cur_comp_info[i]->component_index)] = true;
      }
    }
    status = jpeg_consume_input(&info_);
  } while (status != JPEG_REACHED_EOI && status != JPEG_SUSPENDED && scan <= kMostScans);
  if (status != JPEG_REACHED_EOI) refuse_image(message("more than ", kMostScans, " scans"));
  for (int i = 0; i < info_.num_components; ++i) {
    if (!scanned_[static_cast<std::size_t>(i)]) {
      refuse_image(message("component ", i + 1, " has no scan"));
    }
  }
}

Image JpegFile::decode() {
  read_header();
  choose_colours();
  // At least a bit for each block of 8x8 pixels; arithmetic codes take far less for a flat one.
  constexpr std::int64_t kHuffman = 64 * 8, kArithmetic = kHuffman * 64;
  Image image = blank_image(info_.image_height, info_.image_width, file_,
                            info_.arith_code != 0 ? kArithmetic : kHuffman);
  const bool four = info_.num_components == 4;
  std::vector<std::uint8_t> cmyk(four ? static_cast<std::size_t>(image.w) * 4 : 0);
  run([&] {
    info_.buffered_image = jpeg_has_multiple_scans(&info_);
    jpeg_start_decompress(&info_);
    if (info_.buffered_image != 0) {
      read_scans();
      jpeg_start_output(&info_, info_.input_scan_number);
    }
    for (std::uint8_t* row = image.pixels.data(); info_.output_scanline < info_.output_height;) {
      std::uint8_t* to = four ? cmyk.data() : row;
      if (jpeg_read_scanlines(&info_, &to, 1) != 1) continue;
      for (std::size_t i = 0; i < cmyk.size(); i += 4, row += 3) {
        // Inverted, so that 255 is no ink: each colour times black, of 255, rounded.
        for (std::size_t c = 0; c < 3; ++c) {
          row[c] = static_cast<std::uint8_t>((cmyk[i + c] * cmyk[i + 3] + 127) / 255);
        }
      }
      if (!four) row += image.w * 3;
    }
    if (info_.buffered_image != 0) jpeg_finish_output(&info_);
    jpeg_finish_decompress(&info_);
  });
  return image;
}

}  // namespace

Image decode_jpeg(EncodedImage file) { return JpegFile(file).decode(); }

}  // namespace msd
