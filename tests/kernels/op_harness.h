// SPDX-License-Identifier: MIT
// What every op's tests share: guarded operands, comparison with a double reference, and a loop
// over a backend's variants. Everything returns a testing::AssertionResult instead of
// failing the test itself, so that the harness can be tested: wrap calls in EXPECT_TRUE.
//
// For example:
//
//     Operand<T> x(2, 5, 7, 6, {3, 1}), y(2, 5, 7, 6);  // x: 6 channels of 10, from channel 3
//     x.random(11);
//     EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
//       y.poison();
//       const OpArgs args{.x = x.view(), .y = y.view()};
//       op(context, {&args, 1});
//       outputs.keep("y", y);
//       return compare("y", y, reference, tolerance);
//     }));
//     EXPECT_TRUE(x.intact());
//
// Operands, arguments and references of the ops are in calls/; call_runs.h runs them.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/error.h"
#include "kernels/ops.h"
#include "tests/kernels/backend.h"
#include "tests/kernels/calls/memory.h"

namespace msd::test {

/// A repeatable stream of numbers, the same on every platform.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t bits();
  /// In [low, high).
  double uniform(double low, double high);
  /// In [low, high].
  std::int64_t integer(std::int64_t low, std::int64_t high);

 private:
  std::uint64_t state_;
};

using calls::Gap;

/// A tagged element no op produces: a quiet NaN (integers: a pattern) that tells where it came
/// from. NaNs an op computes from a tag are tags too; quiet_NaN() and the CPU's own NaN are not.
template <typename T>
T tag_of(std::uint64_t source);
template <typename T>
bool is_tag(T value);

/// Takes memory from the binary's backend, so that ops may be given it.
template <typename T>
struct OperandAllocator {
  using value_type = T;  // NOLINT(readability-identifier-naming): the standard's name
  OperandAllocator() = default;
  template <typename U>
  OperandAllocator(const OperandAllocator<U>&) {}  // NOLINT(google-explicit-constructor)
  T* allocate(std::size_t count) { return static_cast<T*>(backend::allocate(count * sizeof(T))); }
  void deallocate(T* memory, std::size_t) { backend::release(memory); }
  friend bool operator==(const OperandAllocator&, const OperandAllocator&) { return true; }
};

/// An NHWC view inside wider rows, with fences before and after. Starts as tags everywhere, its own
/// elements included; row 0 starts on a 64-byte boundary, channel 0 of the view gap.before further.
/// Under AddressSanitizer an access to a fence or a gap, reading or writing, is an error at once.
/// T: float, double, std::int32_t, std::int64_t or std::uint8_t.
template <typename T>
class Operand {
 public:
  Operand(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c, Gap gap = {});
  // Movable; a copy would lie elsewhere: not on the boundary, with other tags.
  Operand(Operand&&) noexcept = default;
  Operand& operator=(Operand&&) noexcept = default;
  /// [count] contiguous elements.
  static Operand vector(std::int64_t count) { return Operand(1, 1, 1, count); }

  View view() { return {data(), kDTypeOf<T>, n_, h_, w_, c_, pitch_}; }
  ConstView view() const { return {data(), kDTypeOf<T>, n_, h_, w_, c_, pitch_}; }
  T* data() { return base() + gap_before_; }
  const T* data() const { return base() + gap_before_; }
  std::int64_t rows() const { return n_ * h_ * w_; }
  std::int64_t elems() const { return rows() * c_; }

  T& at(std::int64_t row, std::int64_t channel) { return data()[row * pitch_ + channel]; }
  const T& at(std::int64_t row, std::int64_t channel) const {
    return data()[row * pitch_ + channel];
  }
  T& at(std::int64_t n, std::int64_t y, std::int64_t x, std::int64_t channel) {
    return at((n * h_ + y) * w_ + x, channel);
  }
  /// Writes anywhere in the memory, as a faulty op would: channel may lie in a gap or a fence.
  void plant(std::int64_t row, std::int64_t channel, T value);

  /// These fill the view only and return *this. The seed is part of later messages.
  Operand& fill(T value);
  Operand& random(std::uint64_t seed, double low = -1.0, double high = 1.0);
  Operand& integers(std::uint64_t seed, std::int64_t low = -4, std::int64_t high = 4);
  Operand& set(std::span<const T> packed);
  /// Tags in the view again.
  Operand& poison();

  /// The view's elements without gaps, [n][h][w][c].
  std::vector<T> values() const;
  std::vector<double> doubles() const;

  /// Fences and gaps hold their tags, bit for bit.
  testing::AssertionResult intact() const;
  /// intact(), and no tag is left in the view (not for uint8, which has no value to spare).
  testing::AssertionResult written() const;

  /// "[image,y,x,channel]" of a packed index.
  std::string index_name(std::int64_t packed_index) const;
  std::uint64_t seed() const { return seed_; }

 private:
  T* base() { return memory_.data() + first_; }
  const T* base() const { return memory_.data() + first_; }
  T tag_at(std::size_t i) const;
  /// Whether memory_[i] is in the view and not in a gap or a fence.
  bool in_view(std::size_t i) const;
  /// Tells AddressSanitizer that the fences and gaps may (not) be touched.
  void forbid_guards() const;
  void allow_guards() const;

  std::int64_t n_, h_, w_, c_, gap_before_, pitch_;
  std::vector<T, OperandAllocator<T>> memory_;
  std::ptrdiff_t first_ = 0;  // index of row 0 in memory_
  std::uint64_t id_, seed_ = 0;
};

/// Passes where !(|actual - reference| > atol + rtol*|reference|) and neither is NaN alone.
struct Tolerance {
  double atol = 0.0, rtol = 0.0;
};

/// For sums of `terms` products whose magnitude is at most `magnitude`: rounding errors add up like
/// a random walk, eps*sqrt(terms) each way; 4 leaves room for the tails of its distribution.
template <typename T>
Tolerance sum_tolerance(std::int64_t terms, double magnitude = 1.0) {
  const double eps = std::numeric_limits<T>::epsilon();
  double root = 1.0;
  while (root * root < static_cast<double>(terms)) root += 1.0;
  return {4.0 * eps * root * magnitude, 4.0 * eps};
}

/// written(), and every element within the tolerance; reports the worst one. A NaN passes only
/// where the reference is NaN; tolerance {0, 0} asks for equality.
template <typename T>
testing::AssertionResult compare(const std::string& what, const Operand<T>& actual,
                                 std::span<const double> reference, Tolerance tolerance);

/// What one run of an op produced, for comparison with other runs.
class Outputs {
 public:
  /// Keeps the bytes of the operand's view.
  template <typename T>
  void keep(const std::string& name, const Operand<T>& operand) {
    const std::vector<T> values = operand.values();
    add(name, values.data(), values.size() * sizeof(T), sizeof(T));
  }
  /// Equal to `other` bit for bit.
  testing::AssertionResult identical(const Outputs& other) const;

 private:
  struct Item {
    std::string name;
    std::vector<std::byte> bytes;
    std::size_t element_bytes;
  };
  void add(const std::string& name, const void* data, std::size_t bytes, std::size_t element_bytes);
  std::vector<Item> items_;
};

using Run = std::function<testing::AssertionResult(ExecutionContext&, Outputs&)>;

/// Calls `run` in every variant of the binary's backend (backend.h), on the CPU every instruction
/// set with 1, 2 and 3 threads, and stops at the first failure. The kept outputs must be identical
/// among the variants of one family. Skips the test where the backend has no body for its element
/// type.
testing::AssertionResult on_every_backend(const Run& run);

/// A context of the binary's backend; on the CPU with 1 to 3 threads and the default instruction
/// set.
ExecutionContext any_context(int threads = 1);

/// Contexts of the binary's backend, one for every set of bodies: an instruction set each, one
/// device.
std::vector<ExecutionContext> every_context();

/// Whether the binary's backend is CUDA, where activations may be bf16 (bfloat16_test.cpp).
bool bf16_has_bodies();

/// "max_pool_forward" -> "MaxPoolForward".
std::string suite_of(std::string_view op);

/// Base of the suites of ops, whose names begin with suite_of(op). Skips where the binary's backend
/// cannot run the op.
class OpTest : public testing::Test {
 protected:
  void SetUp() override;
};

/// Passes where the op, given `args` after change(args), throws a ShapeError that names the op, on
/// every context.
template <typename Args, typename Change>
testing::AssertionResult rejects(void (*op)(ExecutionContext&, std::span<const Args>),
                                 const std::string& op_name, Args args, Change&& change) {
  change(args);
  for (ExecutionContext& context : every_context()) {
    std::string text = "threw no ShapeError";
    try {
      op(context, {&args, 1});
    } catch (const ShapeError& error) {
      text = error.what();
    }
    if (text.find(op_name + ":") == std::string::npos) {
      return testing::AssertionFailure() << op_name << ": " << text;
    }
  }
  return testing::AssertionSuccess();
}

/// (f(x + step*e_i) - f(x - step*e_i)) / (2*step) for each i.
std::vector<double> central_differences(const std::function<double(const std::vector<double>&)>& f,
                                        std::vector<double> x, double step = 1e-5);

/// For TYPED_TEST_SUITE(Suite, FloatTypes).
using FloatTypes = testing::Types<float, double>;

#define MSD_RETURN_IF_FAILED(expression) \
  if (testing::AssertionResult result_ = (expression); !result_) return result_

}  // namespace msd::test
