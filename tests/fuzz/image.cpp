// SPDX-License-Identifier: MIT
#include "data/image_file.h"
#include "data/image_resize.h"
#include "kernels/check.h"
#include "tests/fuzz/targets.h"

void msd::fuzz::image(Bytes file) {
  const Image image = decode_image(file);
  MSD_CHECK(static_cast<std::int64_t>(image.pixels.size()) == image.h * image.w * 3, "its size");
  if (image.h * image.w <= 4096) fit_to(image, {7, 5});
}
