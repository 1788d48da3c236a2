// SPDX-License-Identifier: MIT
#include "models/inference/batchnorm_folding.h"

#include <cmath>

#include "models/network/network.h"

namespace msd {

FoldedConvolution fold_batchnorm(const Tensor& weight, const Tensor& bias,
                                 const BatchnormTensors& batchnorm) {
  const DType dtype = weight.dtype();
  const auto values = [dtype](const Tensor& tensor) {
    MSD_CHECK(tensor.dtype() == dtype && tensor.is_contiguous() && tensor.on_host(),
              "fold_batchnorm: a ", name(tensor.dtype()), " tensor for a weight of ", name(dtype));
    return [tensor, dtype](std::int64_t i) { return load_element(tensor.data(), dtype, i); };
  };
  const std::int64_t cout = batchnorm.gamma.elems();
  FoldedConvolution folded = {Tensor::empty(host_allocator(), weight.shape(), dtype),
                              Tensor::zeros(host_allocator(), {cout}, dtype)};
  const auto source = values(weight);
  const auto own_bias = values(bias.defined() ? bias : folded.bias);
  const auto gamma = values(batchnorm.gamma), beta = values(batchnorm.beta);
  const auto mean = values(batchnorm.mean), var = values(batchnorm.var);
  const std::int64_t per_output = weight.elems() / cout;
  for (std::int64_t o = 0; o < cout; ++o) {
    const double scale = gamma(o) / std::sqrt(var(o) + kBatchNormEpsilon);
    store_element(folded.bias.data(), dtype, o, beta(o) + (own_bias(o) - mean(o)) * scale);
    for (std::int64_t i = o * per_output; i < (o + 1) * per_output; ++i) {
      store_element(folded.weight.data(), dtype, i, source(i) * scale);
    }
  }
  return folded;
}

}  // namespace msd
