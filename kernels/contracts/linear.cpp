// SPDX-License-Identifier: MIT
#include "kernels/contracts/linear.h"

#include "kernels/check.h"
#include "kernels/contracts/checks.h"

namespace msd {

void LinearForwardArgs::check() const {
  const char* op = "linear_forward";
  check_view(x, op, "x");
  check_view(y, op, "y");
  check_same_dtype(x, y, op);
  MSD_CHECK(x.rows() == y.rows(), op, ": ", x, " to ", ConstView(y));
  check_pointer(weight, op, "weight");
  check_pointer(bias, op, "bias");
  check_apart(x, y, op);
}

void LinearBackwardArgs::check() const {
  const char* op = "linear_backward";
  check_view(x, op, "x");
  check_view(dy, op, "dy");
  check_same_dtype(x, dy, op);
  MSD_CHECK(x.rows() == dy.rows(), op, ": ", x, " to ", dy);
  for (const void* p : {weight, static_cast<const void*>(dw), static_cast<const void*>(dbias)}) {
    check_pointer(p, op, "weight, dw or dbias");
  }
  if (dx.data != nullptr) {
    check_same_shape(x, dx, op);
    check_apart(dx, x, op);
    check_apart(dx, dy, op);
  }
}

}  // namespace msd
