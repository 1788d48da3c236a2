// SPDX-License-Identifier: MIT
#include "kernels/contracts/movement.h"

#include "kernels/check.h"
#include "kernels/contracts/checks.h"

namespace msd {

void ConcatArgs::check() const {
  const char* op = "concat";
  check_view(y, op, "y");
  std::int64_t channels = 0;
  for (const ConstView& x : inputs) {
    check_view(x, op, "an input");
    check_same_dtype(x, y, op);
    MSD_CHECK(x.n == y.n && x.h == y.h && x.w == y.w, op, ": ", x, " into ", ConstView(y));
    check_apart(x, y, op);
    channels += x.c;
  }
  MSD_CHECK(channels == y.c, op, ": inputs with ", channels, " channels into ", ConstView(y));
}

void CopyArgs::check() const {
  check_view(x, "copy", "x");
  check_view(y, "copy", "y");
  check_same_shape(x, y, "copy");
  check_apart(x, y, "copy");
}

void AccumulateArgs::check() const {
  const char* op = "accumulate";
  check_view(x, op, "x");
  check_view(y, op, "y");
  check_same_shape(x, y, op);
  const bool same = x.data == y.data && x.pitch == y.pitch;
  MSD_CHECK(same || !overlap(x, y), op, ": ", ConstView(y), " overlaps x in part");
}

void FillArgs::check() const { check_view(y, "fill", "y"); }

void GatherRowsArgs::check() const {
  const char* op = "gather_rows";
  check_view(x, op, "x");
  check_view(y, op, "y");
  check_same_dtype(x, y, op);
  MSD_CHECK(x.h == y.h && x.w == y.w && x.c == y.c, op, ": ", x, " to ", ConstView(y));
  MSD_CHECK(index != nullptr || y.n == 0, op, ": index is null");
  check_apart(x, y, op);
}

}  // namespace msd
