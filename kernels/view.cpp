// SPDX-License-Identifier: MIT
#include "kernels/view.h"

#include <ostream>

#include "kernels/error.h"

namespace msd {

std::string_view name(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "f32";
    case DType::f64:
      return "f64";
    case DType::bf16:
      return "bf16";
    case DType::u8:
      return "u8";
    case DType::i32:
      return "i32";
    case DType::i64:
      return "i64";
  }
  return "?";
}

std::int64_t size_bytes(DType dtype) {
  switch (dtype) {
    case DType::f64:
    case DType::i64:
      return 8;
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::bf16:
      return 2;
    case DType::u8:
      return 1;
  }
  return 0;
}

namespace {

template <typename V>
V slice(V view, std::int64_t first, std::int64_t count) {
  MSD_CHECK(first >= 0 && count >= 0 && first + count <= view.c, "channels [", first, ", ",
            first + count, ") of a view with ", view.c);
  using Byte = std::conditional_t<std::is_same_v<V, View>, char, const char>;
  view.data = static_cast<Byte*>(view.data) + first * size_bytes(view.dtype);
  view.c = count;
  return view;
}

}  // namespace

ConstView ConstView::channels(std::int64_t first, std::int64_t count) const {
  return slice(*this, first, count);
}
View View::channels(std::int64_t first, std::int64_t count) const {
  return slice(*this, first, count);
}

std::ostream& operator<<(std::ostream& out, const ConstView& view) {
  return out << name(view.dtype) << '[' << view.n << ',' << view.h << ',' << view.w << ',' << view.c
             << " pitch " << view.pitch << ']';
}

}  // namespace msd
