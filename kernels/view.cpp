// SPDX-License-Identifier: MIT
#include "kernels/view.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <ostream>

#include "kernels/check.h"

namespace msd {

std::string_view name(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "f32";
    case DType::f64:
      return "f64";
    case DType::bf16:
      return "bf16";
    case DType::f16:
      return "f16";
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
    case DType::f16:
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

namespace {

constexpr int kHalfFraction = 10, kHalfBias = 15;

double half_to_double(std::uint16_t bits) {
  const int exponent = bits >> kHalfFraction & 31;
  const double fraction = bits & 1023;
  double value = 0.0;
  if (exponent == 31) {
    value = fraction == 0 ? std::numeric_limits<double>::infinity()
                          : std::numeric_limits<double>::quiet_NaN();
  } else if (exponent == 0) {
    value = std::ldexp(fraction, 1 - kHalfBias - kHalfFraction);
  } else {
    value = std::ldexp(fraction + 1024.0, exponent - kHalfBias - kHalfFraction);
  }
  return (bits & 0x8000) != 0 ? -value : value;
}

std::uint16_t double_to_half(double value) {
  const auto sign = static_cast<unsigned>(std::signbit(value) ? 0x8000 : 0);
  const double size = std::abs(value);
  unsigned bits = 0;
  if (std::isnan(size)) {
    bits = 0x7E00;
  } else if (size >= 65520.0) {  // rounds to more than the largest, 65504
    bits = 0x7C00;
  } else {
    // Units in the last place of the value's binade, or of the subnormals: a carry out of the
    // fraction goes on into the exponent, as it should.
    const int exponent = std::max(size == 0.0 ? -1022 : std::ilogb(size), 1 - kHalfBias);
    const double units = std::nearbyint(std::ldexp(size, kHalfFraction - exponent));
    bits = static_cast<unsigned>(units) +
           static_cast<unsigned>(exponent + kHalfBias - 1) * (1u << kHalfFraction);
  }
  return static_cast<std::uint16_t>(sign | bits);
}

}  // namespace

double load_element(const void* data, DType dtype, std::int64_t i) {
  switch (dtype) {
    case DType::f32:
      return static_cast<double>(static_cast<const float*>(data)[i]);
    case DType::f64:
      return static_cast<const double*>(data)[i];
    case DType::bf16: {
      const std::uint32_t bits = std::uint32_t{static_cast<const std::uint16_t*>(data)[i]} << 16;
      return static_cast<double>(std::bit_cast<float>(bits));
    }
    case DType::f16:
      return half_to_double(static_cast<const std::uint16_t*>(data)[i]);
    case DType::u8:
      return static_cast<double>(static_cast<const std::uint8_t*>(data)[i]);
    case DType::i32:
      return static_cast<double>(static_cast<const std::int32_t*>(data)[i]);
    case DType::i64:
      return static_cast<double>(static_cast<const std::int64_t*>(data)[i]);
  }
  return 0.0;
}

void store_element(void* data, DType dtype, std::int64_t i, double value) {
  switch (dtype) {
    case DType::f32:
      static_cast<float*>(data)[i] = static_cast<float>(value);
      return;
    case DType::f64:
      static_cast<double*>(data)[i] = value;
      return;
    case DType::bf16: {
      const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(value));
      const bool nan = (bits & 0x7FFFFFFF) > 0x7F800000;
      const std::uint32_t rounded = nan ? bits | 0x400000 : bits + 0x7FFF + (bits >> 16 & 1);
      static_cast<std::uint16_t*>(data)[i] = static_cast<std::uint16_t>(rounded >> 16);
      return;
    }
    case DType::f16:
      static_cast<std::uint16_t*>(data)[i] = double_to_half(value);
      return;
    case DType::u8:
      static_cast<std::uint8_t*>(data)[i] = static_cast<std::uint8_t>(value);
      return;
    case DType::i32:
      static_cast<std::int32_t*>(data)[i] = static_cast<std::int32_t>(value);
      return;
    case DType::i64:
      static_cast<std::int64_t*>(data)[i] = static_cast<std::int64_t>(value);
      return;
  }
}

}  // namespace msd
