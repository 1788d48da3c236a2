// SPDX-License-Identifier: MIT
#include <webp/decode.h>
#include <webp/demux.h>

#include <algorithm>
#include <memory>

#include "data/decoders/decoders.h"
#include "kernels/check.h"

namespace msd {
namespace {

std::string webp_fault(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_OK:
    case VP8_STATUS_USER_ABORT:
      break;
    case VP8_STATUS_OUT_OF_MEMORY:
      return "out of memory";
    case VP8_STATUS_INVALID_PARAM:
    case VP8_STATUS_BITSTREAM_ERROR:
      return "the file is damaged";
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      return "a kind of WebP that libwebp does not read";
    case VP8_STATUS_SUSPENDED:
    case VP8_STATUS_NOT_ENOUGH_DATA:
      return kImageCutShort;
  }
  return message("libwebp's status ", static_cast<int>(status));
}

void decode_first_frame(const WebPData& file, Image& image) {
  WebPAnimDecoderOptions options;
  if (WebPAnimDecoderOptionsInit(&options) == 0) refuse_image("another version of libwebpdemux");
  options.color_mode = MODE_RGBA;
  options.use_threads = 0;
  const std::unique_ptr<WebPAnimDecoder, decltype(&WebPAnimDecoderDelete)> decoder(
      WebPAnimDecoderNew(&file, &options), &WebPAnimDecoderDelete);
  std::uint8_t* canvas = nullptr;  // the decoder's
  int milliseconds = 0;
  if (decoder == nullptr || WebPAnimDecoderGetNext(decoder.get(), &canvas, &milliseconds) == 0) {
    refuse_image("its first frame is damaged");
  }
  for (std::size_t i = 0; i < image.pixels.size(); i += 3, canvas += 4) {
    std::copy_n(canvas, 3, image.pixels.data() + i);
  }
}

}  // namespace

Image decode_webp(EncodedImage file) {
  constexpr std::size_t kRiff = 8;
  const std::size_t size = little_endian(file, 4, 4);
  const EncodedImage whole = part_of(file, 0, kRiff + size);  // the library does not ask
  const WebPData data{reinterpret_cast<const std::uint8_t*>(whole.data()), whole.size()};
  WebPDecoderConfig config;
  if (WebPInitDecoderConfig(&config) == 0) refuse_image("another version of libwebp");
  VP8StatusCode status = WebPGetFeatures(data.bytes, data.size, &config.input);
  if (status != VP8_STATUS_OK) refuse_image(webp_fault(status));
  // One flat colour takes a byte for 25,773 pixels (libwebp 1.6).
  Image image = blank_image(config.input.height, config.input.width, file, 32768);
  if (config.input.has_animation != 0) {
    decode_first_frame(data, image);
    return image;
  }
  config.output.colorspace = MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA = {image.pixels.data(), static_cast<int>(image.w * 3), image.pixels.size()};
  status = WebPDecode(data.bytes, data.size, &config);
  WebPFreeDecBuffer(&config.output);
  if (status != VP8_STATUS_OK) refuse_image(webp_fault(status));
  return image;
}

}  // namespace msd
