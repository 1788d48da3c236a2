// SPDX-License-Identifier: MIT
#include "kernels/contracts/pooling.h"

#include "kernels/check.h"
#include "kernels/contracts/checks.h"

namespace msd {
namespace {

void check_pool(const PoolGeometry& g, const ConstView& x, const ConstView& y, const char* op) {
  MSD_CHECK(g.kernel > 0 && g.stride > 0 && g.padding >= 0 && 2 * g.padding <= g.kernel, op,
            ": kernel ", g.kernel, ", stride ", g.stride, ", padding ", g.padding);
  MSD_CHECK(x.h + 2 * g.padding >= g.kernel && x.w + 2 * g.padding >= g.kernel, op, ": ", x,
            " is smaller than the window ", g.kernel);
  MSD_CHECK(x.n == y.n && x.c == y.c && y.h == g.out_size(x.h) && y.w == g.out_size(x.w), op, ": ",
            x, " to ", y);
  MSD_CHECK(y.elems() == 0 || (x.h > 0 && x.w > 0), op, ": windows without a position in ", x);
  check_same_dtype(x, y, op);
}

void check_avg_pool(const ConstView& x, const ConstView& y, std::int64_t kernel_h,
                    std::int64_t kernel_w, const char* op) {
  MSD_CHECK(kernel_h > 0 && kernel_w > 0 && x.h >= kernel_h && x.w >= kernel_w, op, ": window ",
            kernel_h, "x", kernel_w, " over ", x);
  MSD_CHECK(x.n == y.n && x.c == y.c && y.h == x.h / kernel_h && y.w == x.w / kernel_w, op, ": ", x,
            " to ", y);
  check_same_dtype(x, y, op);
}

}  // namespace

void MaxPoolForwardArgs::check() const {
  const char* op = "max_pool_forward";
  check_view(x, op, "x");
  check_view(y, op, "y");
  check_pool(geometry, x, y, op);
  check_apart(x, y, op);
}

void MaxPoolBackwardArgs::check() const {
  const char* op = "max_pool_backward";
  check_view(x, op, "x");
  check_view(dy, op, "dy");
  check_view(dx, op, "dx");
  check_pool(geometry, x, dy, op);
  check_same_shape(x, dx, op);
  check_apart(dx, x, op);
  check_apart(dx, dy, op);
}

void AvgPoolForwardArgs::check() const {
  const char* op = "avg_pool_forward";
  check_view(x, op, "x");
  check_view(y, op, "y");
  check_avg_pool(x, y, kernel_h, kernel_w, op);
  check_apart(x, y, op);
}

void AvgPoolBackwardArgs::check() const {
  const char* op = "avg_pool_backward";
  check_view(dy, op, "dy");
  check_view(dx, op, "dx");
  check_avg_pool(dx, dy, kernel_h, kernel_w, op);
  check_apart(dx, dy, op);
}

}  // namespace msd
