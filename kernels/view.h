// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string_view>

namespace msd {

/// f16 (IEEE 754 binary16) is a type of files only: no op takes it.
enum class DType : std::uint8_t { f32, f64, bf16, f16, u8, i32, i64 };

std::string_view name(DType dtype);
std::int64_t size_bytes(DType dtype);

template <typename T>
inline constexpr DType kDTypeOf = DType::u8;
template <>
inline constexpr DType kDTypeOf<float> = DType::f32;
template <>
inline constexpr DType kDTypeOf<double> = DType::f64;
template <>
inline constexpr DType kDTypeOf<std::int32_t> = DType::i32;
template <>
inline constexpr DType kDTypeOf<std::int64_t> = DType::i64;

/// Element i of an array of any type. Storing rounds to nearest (bf16 and f16: ties to even).
double load_element(const void* data, DType dtype, std::int64_t i);
void store_element(void* data, DType dtype, std::int64_t i, double value);

/// The type of sums, statistics, biases and losses of an op whose activations are `dtype`:
/// f64 for f64, f32 otherwise.
constexpr DType accumulator_of(DType dtype) {
  return dtype == DType::f64 ? DType::f64 : DType::f32;
}

/// An activation: n images of h x w rows by c channels, NHWC, row r (= (image*h + y)*w + x) at
/// element r*pitch. A channel slice is a view with a shifted `data` and pitch > c; the pitch - c
/// elements between rows belong to somebody else and are neither read nor written.
/// `data` is aligned to its element only; pitches of buffers are multiples of 16 bytes.
struct ConstView {
  const void* data = nullptr;
  DType dtype = DType::f32;
  std::int64_t n = 0, h = 0, w = 0, c = 0;
  std::int64_t pitch = 0;

  std::int64_t rows() const { return n * h * w; }
  std::int64_t elems() const { return rows() * c; }
  template <typename T>
  const T* as() const {
    return static_cast<const T*>(data);
  }
  /// Channels [first, first + count) of every row.
  ConstView channels(std::int64_t first, std::int64_t count) const;
};

struct View {
  void* data = nullptr;
  DType dtype = DType::f32;
  std::int64_t n = 0, h = 0, w = 0, c = 0;
  std::int64_t pitch = 0;

  std::int64_t rows() const { return n * h * w; }
  std::int64_t elems() const { return rows() * c; }
  template <typename T>
  T* as() const {
    return static_cast<T*>(data);
  }
  View channels(std::int64_t first, std::int64_t count) const;
  operator ConstView() const { return {data, dtype, n, h, w, c, pitch}; }  // NOLINT: a view narrows
};

/// Prints "f32[n,h,w,c pitch p]".
std::ostream& operator<<(std::ostream& out, const ConstView& view);

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
constexpr std::int64_t round_up(std::int64_t a, std::int64_t b) { return ceil_div(a, b) * b; }

/// Channels of a buffer's row, rounded up to 16 bytes.
constexpr std::int64_t row_pitch(std::int64_t channels, DType dtype) {
  return round_up(channels, dtype == DType::f64 ? 2 : dtype == DType::bf16 ? 8 : 4);
}

}  // namespace msd
