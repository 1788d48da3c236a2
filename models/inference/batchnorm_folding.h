// SPDX-License-Identifier: MIT
#pragma once

#include "engine/tensor.h"

namespace msd {

/// A batch norm's parameters and statistics, [cout] each, on the host.
struct BatchnormTensors {
  Tensor gamma, beta, mean, var;
};

struct FoldedConvolution {
  Tensor weight, bias;  // on the host; weight in the shape and order it came in, bias [cout]
};

/// The convolution with bias that does what a convolution and its batch norm do in evaluation mode:
/// scale = gamma/sqrt(var + eps); weight *= scale; bias = beta + (bias - mean)*scale, in double,
/// rounded to the tensors' type. weight: contiguous, on the host, its values of one output channel
/// together; bias: [cout], or undefined where there is none. All of one type, f32 or f64.
FoldedConvolution fold_batchnorm(const Tensor& weight, const Tensor& bias,
                                 const BatchnormTensors& batchnorm);

}  // namespace msd
