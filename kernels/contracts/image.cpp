// SPDX-License-Identifier: MIT
#include "kernels/contracts/image.h"

#include "kernels/check.h"
#include "kernels/contracts/checks.h"

namespace msd {

void ImageToFloatArgs::check() const {
  const char* op = "image_to_float";
  check_view(y, op, "y");
  if (y.n == 0) return;
  MSD_CHECK(count > 0 && h > 0 && w > 0, op, ": ", count, " images of ", h, "x", w);
  check_pointer(images, op, "images");
  check_pointer(index, op, "index");
  check_pointer(mean, op, "mean");
  check_pointer(std, op, "std");
}

}  // namespace msd
