// SPDX-License-Identifier: MIT
#include "data/image_file.h"
#include "data/image_resize.h"
#include "tests/fuzz/look.h"
#include "tests/fuzz/targets.h"

void msd::fuzz::image(Bytes file) {
  const Image image = decode_image(file);
  look_at(image);
  if (image.h * image.w <= 4096) fit_to(image, {7, 5});
}
