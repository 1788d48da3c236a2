// SPDX-License-Identifier: MIT
#include "kernels/contracts/checks.h"

#include <functional>

#include "kernels/check.h"

namespace msd {

void check_view(const ConstView& v, const char* op, const char* what) {
  MSD_CHECK(v.n >= 0 && v.h >= 0 && v.w >= 0 && v.c >= 0, op, ": ", what, " is ", v);
  MSD_CHECK(v.pitch >= v.c, op, ": ", what, " is ", v, ", rows overlap");
  MSD_CHECK(v.data != nullptr || v.elems() == 0, op, ": ", what, " has no data");
  MSD_CHECK(v.dtype == DType::f32 || v.dtype == DType::f64 || v.dtype == DType::bf16, op, ": ",
            what, " is ", v);
}

void check_same_dtype(const ConstView& a, const ConstView& b, const char* op) {
  MSD_CHECK(a.dtype == b.dtype, op, ": ", a, " and ", b, " differ in dtype");
}

void check_same_shape(const ConstView& a, const ConstView& b, const char* op) {
  check_same_dtype(a, b, op);
  MSD_CHECK(a.n == b.n && a.h == b.h && a.w == b.w && a.c == b.c, op, ": ", a, " and ", b,
            " differ in shape");
}

void check_pointer(const void* p, const char* op, const char* what) {
  MSD_CHECK(p != nullptr, op, ": ", what, " is null");
}

bool overlap(const ConstView& a, const ConstView& b) {
  if (a.elems() == 0 || b.elems() == 0) return false;
  const std::int64_t bytes = size_bytes(a.dtype);
  const char* a0 = static_cast<const char*>(a.data);
  const char* b0 = static_cast<const char*>(b.data);
  const char* a1 = a0 + ((a.rows() - 1) * a.pitch + a.c) * bytes;
  const char* b1 = b0 + ((b.rows() - 1) * b.pitch + b.c) * size_bytes(b.dtype);
  const std::less<const char*> before;
  if (!before(a0, b1) || !before(b0, a1)) return false;
  // Slices of one buffer: their channel ranges must be apart.
  if (a.pitch != b.pitch || a.dtype != b.dtype) return true;
  const std::int64_t row = a.pitch * bytes;
  const std::int64_t shift = ((b0 - a0) % row + row) % row;  // b's start within a's row
  return shift < a.c * bytes || shift + b.c * bytes > row;
}

void check_apart(const ConstView& a, const ConstView& b, const char* op) {
  MSD_CHECK(!overlap(a, b), op, ": ", a, " and ", b, " overlap");
}

}  // namespace msd
