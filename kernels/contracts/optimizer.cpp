// SPDX-License-Identifier: MIT
#include "kernels/contracts/optimizer.h"

#include <cmath>

#include "kernels/check.h"
#include "kernels/contracts/checks.h"

namespace msd {

void SgdArgs::check() const {
  const char* op = "sgd";
  MSD_CHECK(count >= 0, op, ": count ", count);
  MSD_CHECK(dtype == DType::f32 || dtype == DType::f64, op, ": dtype ", name(dtype));
  if (count == 0) return;
  check_pointer(weight, op, "weight");
  check_pointer(gradient, op, "gradient");
  check_pointer(velocity, op, "velocity");
  check_pointer(lr, op, "lr");
  MSD_CHECK(std::isfinite(momentum) && std::isfinite(weight_decay), op, ": momentum ", momentum,
            ", weight decay ", weight_decay);
}

void FiniteCheckArgs::check() const {
  const char* op = "finite_check";
  MSD_CHECK(count >= 0, op, ": count ", count);
  MSD_CHECK(dtype == DType::f32 || dtype == DType::f64, op, ": dtype ", name(dtype));
  MSD_CHECK(data != nullptr || count == 0, op, ": data is null");
  check_pointer(first_bad, op, "first_bad");
}

}  // namespace msd
