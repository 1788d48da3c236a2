// SPDX-License-Identifier: MIT
// Tensors as plain vectors, and comparison with expected ones.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/parameters.h"
#include "engine/tensor.h"

namespace msd::test {

/// The elements of a contiguous f32, f64, i32, i64 or u8 tensor, row-major.
std::vector<double> doubles(const Tensor& tensor);

/// The elements of an f32 or f64 view without its gaps, [n][h][w][c].
std::vector<double> doubles(const ConstView& view);

/// The bytes of a view without its gaps, or of a contiguous tensor.
std::vector<std::byte> bytes(const ConstView& view);
std::vector<std::byte> bytes(const Tensor& tensor);

/// A contiguous tensor of these values. f32 or f64.
Tensor make_tensor(std::vector<std::int64_t> shape, const std::vector<double>& values,
                   DType dtype = DType::f32);
Tensor make_counter(std::int64_t value);

std::map<std::string, Tensor> by_name(const std::vector<NamedTensor>& tensors);

/// Gradients of the parameters that have one, on the host, in PyTorch's shapes and order; names
/// prefixed.
std::map<std::string, Tensor> gradients_of(const ParameterSet& set, const std::string& prefix = "");

/// True where both hold the same names, types, shapes and bits.
testing::AssertionResult identical(const std::map<std::string, Tensor>& a,
                                   const std::map<std::string, Tensor>& b);

/// Collects differences of tensors, each relative to the largest expected value of its tensor, and
/// remembers the worst. A NaN or a wrong size counts as infinite.
class Differences {
 public:
  /// expected[i] is compared with actual[i*stride]. `floor` is added to the largest value.
  void add(const std::string& name, const std::vector<double>& actual,
           const std::vector<double>& expected, std::int64_t stride = 1, double floor = 0.0);
  double worst() const { return worst_; }
  std::int64_t tensors() const { return tensors_; }
  /// At least one tensor was compared and no difference is above the tolerance.
  testing::AssertionResult within(double tolerance) const;
  /// Puts the worst difference into the running test's properties (--gtest_output).
  void record(const std::string& key) const;

 private:
  double worst_ = 0.0;
  std::string worst_name_;
  std::int64_t tensors_ = 0;
};

}  // namespace msd::test
