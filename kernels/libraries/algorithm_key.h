// SPDX-License-Identifier: MIT
// What an algorithm is chosen for and runs on, as plain data: the same for the chooser, its cache
// and the plugin with NVIDIA's libraries.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "kernels/view.h"

namespace msd::cuda {

/// The ops that have more than one algorithm.
enum class ChoosableOp : std::int32_t {
  conv_forward,
  conv_backward_data,
  conv_backward_weight,
  batchnorm_forward,
  batchnorm_backward,
  linear_forward,
  linear_backward
};
inline constexpr int kChoosableOps = 7;
std::string_view name(ChoosableOp op);

/// How one operand lies in memory: elements from row to row, and the largest power of two up to 16
/// that divides its address.
struct OperandLayout {
  std::int64_t pitch = 0, alignment_bytes = 0;
  // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 and defaulted comparisons
  auto operator<=>(const OperandLayout&) const = default;
};

/// Everything that a plan, and how long it takes, depends on: the key of all caches. Batch norm has
/// c in cin and cout; a linear layer is a 1x1 convolution of n images of 1x1.
struct AlgorithmKey {
  ChoosableOp op = ChoosableOp::conv_forward;
  DType dtype = DType::f32;
  std::int64_t n = 0, h = 0, w = 0;   // of x
  std::int64_t out_h = 0, out_w = 0;  // of y
  std::int64_t cin = 0, cout = 0, kernel = 1, stride = 1, padding = 0;
  OperandLayout x, y;                       // or of their gradients, if the op has no others
  OperandLayout dx;                         // linear_backward and batchnorm_backward
  std::int64_t weight_alignment_bytes = 0;  // of the weights as given, or their gradient
  bool bias = false, relu = false, accumulate = false, tf32 = false;
  bool overlap = false;     // batchnorm_backward: dx is x or dy
  bool statistics = false;  // conv_forward: wanted of y; batchnorm_forward: there are x's
  auto operator<=>(const AlgorithmKey&) const = default;  // NOLINT(modernize-use-nullptr): likewise

  std::int64_t rows() const { return n * h * w; }
  std::int64_t out_rows() const { return n * out_h * out_w; }
  /// A convolution that is a product of two matrices.
  bool is_product() const { return kernel == 1 && stride == 1 && padding == 0; }
};

/// One line; differs where any member does. The name in cache files.
std::string text(const AlgorithmKey& key);

/// What one run works on; what the op has no use for is null. conv: `weight` is conv_pack's.
struct Operands {
  const void *x = nullptr, *dy = nullptr, *weight = nullptr, *bias = nullptr;
  void *y = nullptr, *dx = nullptr, *dw = nullptr, *dbias = nullptr;
  const void *gamma = nullptr, *beta = nullptr;
  void *running_mean = nullptr, *running_var = nullptr;
  void *mean = nullptr, *invstd = nullptr;  // written by forward, read by backward
  void *dgamma = nullptr, *dbeta = nullptr;
  double momentum = 0.0, epsilon = 0.0;
  void* workspace = nullptr;  // aligned to 256
};

}  // namespace msd::cuda
