// SPDX-License-Identifier: MIT
#include "models/weights/torch7_layers.h"

#include <cmath>
#include <memory>
#include <utility>

#include "models/network/network.h"

namespace msd {
namespace {

// Tensors of a file may share memory, those that are computed may not: this bounds them.
constexpr std::int64_t kMostChannels = std::int64_t{1} << 24;

std::string text_of(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (const std::int64_t size : shape) {
    text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  }
  return text + "]";
}

/// The same elements in another shape; shares the memory.
Tensor reshaped(const Tensor& tensor, std::vector<std::int64_t> shape) {
  std::vector<std::int64_t> strides(shape.size());
  std::int64_t stride = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= shape[i];
  }
  const auto owner = std::make_shared<const Tensor>(tensor);
  auto buffer = std::make_shared<Buffer>(owner, static_cast<std::byte*>(tensor.data()),
                                         tensor.elems() * size_bytes(tensor.dtype()));
  return Tensor::over(std::move(buffer), 0, std::move(shape), std::move(strides), tensor.dtype());
}

/// f64 of f64, else f32: value_of(i) for every i.
template <typename ValueOf>
Tensor computed(std::int64_t elems, DType like, const ValueOf& value_of) {
  Tensor tensor = Tensor::empty(host_allocator(), {elems}, accumulator_of(like));
  for (std::int64_t i = 0; i < elems; ++i) {
    store_element(tensor.data(), tensor.dtype(), i, value_of(i));
  }
  return tensor;
}

double element(const Tensor& tensor, std::int64_t i) {
  return load_element(tensor.data(), tensor.dtype(), i);
}

}  // namespace

Tensor Torch7Layers::floats(const Torch7Module& module, std::string_view field) {
  const Torch7Value* value = module.field(field);
  if (value == nullptr) module.fail("has no ", field);
  const Tensor* tensor = value->tensor();
  if (tensor == nullptr || (tensor->dtype() != DType::f32 && tensor->dtype() != DType::f64 &&
                            tensor->dtype() != DType::f16)) {
    module.fail("has ", value->kind(), " for ", field, ", not a tensor of floats");
  }
  // Packed copies are bounded by the file only where each is made once.
  if (!taken_.insert(value).second) module.fail("shares its ", field, " with another module");
  return tensor->contiguous();
}

Tensor Torch7Layers::floats(const Torch7Module& module, std::string_view field,
                            const std::vector<std::int64_t>& shape) {
  Tensor tensor = floats(module, field);
  if (tensor.shape() != shape) {
    module.fail("has a ", field, " of shape ", text_of(tensor.shape()), ", not ", text_of(shape));
  }
  return tensor;
}

Tensor Torch7Layers::conv_weight(const Torch7Module& conv, std::int64_t kernel) {
  Tensor weight = floats(conv, "weight");
  // nn.SpatialConvolutionMM has a matrix of it.
  const std::int64_t window = kernel * kernel;
  if (weight.dim() == 2 && weight.elems() > 0 && weight.shape()[1] % window == 0) {
    weight = reshaped(weight, {weight.shape()[0], weight.shape()[1] / window, kernel, kernel});
  }
  if (weight.dim() != 4 || weight.shape()[2] != kernel || weight.shape()[3] != kernel) {
    conv.fail("has a weight of shape ", text_of(weight.shape()), ", not [.., .., ", kernel, ", ",
              kernel, "]");
  }
  const auto out = static_cast<double>(weight.shape()[0]),
             in = static_cast<double>(weight.shape()[1]);
  conv.require_number("nOutputPlane", out, out);
  conv.require_number("nInputPlane", in, in);
  return weight;
}

void Torch7Layers::convolution(const Torch7Module& conv, const Torch7Module& batchnorm_module,
                               Window window, const std::string& conv_name,
                               const std::string& batchnorm_name, bool keep_bias) {
  if (!conv.is("SpatialConvolutionMM")) conv.require("SpatialConvolution");
  batchnorm_module.require("SpatialBatchNormalization");
  conv.require_window(window.kernel, window.stride, window.kernel / 2);
  conv.require_number("groups", 1.0, 1.0);
  const Tensor weight = conv_weight(conv, window.kernel);
  const std::int64_t channels = weight.shape()[0];
  tensors_[conv_name + ".weight"] = weight;
  Tensor bias;
  if (conv.field("bias") != nullptr) bias = floats(conv, "bias", {channels});
  if (keep_bias && bias.defined()) {
    tensors_[conv_name + ".bias"] = bias;
    bias = Tensor();
  }
  batchnorm(batchnorm_module, channels, bias, batchnorm_name);
}

void Torch7Layers::batchnorm(const Torch7Module& module, std::int64_t channels,
                             const Tensor& conv_bias, const std::string& name) {
  channels_ += channels;
  if (channels_ > kMostChannels) module.fail("is one of too many: no MSDNet has such channels");
  Tensor mean = floats(module, "running_mean", {channels});
  const DType dtype = mean.dtype();
  if (conv_bias.defined()) {
    mean = computed(channels, dtype,
                    [&](std::int64_t i) { return element(mean, i) - element(conv_bias, i); });
  }
  tensors_[name + ".running_mean"] = mean;
  tensors_[name + ".running_var"] = running_var(module, channels);
  const auto affine = [&](const char* field, double without) {
    return module.field(field) != nullptr
               ? floats(module, field, {channels})
               : computed(channels, dtype, [&](std::int64_t) { return without; });
  };
  tensors_[name + ".weight"] = affine("weight", 1.0);
  tensors_[name + ".bias"] = affine("bias", 0.0);
}

// What is added to a variance here is kBatchNormEpsilon; in Torch7 each module has its own eps.
Tensor Torch7Layers::running_var(const Torch7Module& module, std::int64_t channels) {
  const double eps = module.number("eps", kBatchNormEpsilon);
  // Rounding of floats may take so much of a variance of 0.
  const double least = -1e-6 * kBatchNormEpsilon;
  const auto checked = [&](double variance) {
    if (!std::isfinite(variance) || variance < least) {
      module.fail("has eps ", eps, ", and its variances are too small to count on ",
                  kBatchNormEpsilon);
    }
    return std::max(variance, 0.0);
  };
  if (module.field("running_var") != nullptr) {
    const Tensor variance = floats(module, "running_var", {channels});
    if (eps == kBatchNormEpsilon) return variance;
    return computed(channels, variance.dtype(), [&](std::int64_t i) {
      return checked(element(variance, i) + eps - kBatchNormEpsilon);
    });
  }
  if (module.field("running_std") == nullptr) module.fail("has no running_var");
  // Before its version 2: 1 / sqrt(variance + eps).
  const Tensor inverse = floats(module, "running_std", {channels});
  return computed(channels, inverse.dtype(), [&](std::int64_t i) {
    return checked(1.0 / (element(inverse, i) * element(inverse, i)) - kBatchNormEpsilon);
  });
}

void Torch7Layers::linear(const Torch7Module& module, const std::string& name) {
  module.require("Linear");
  const Tensor weight = floats(module, "weight");
  if (weight.dim() != 2) module.fail("has a weight of shape ", text_of(weight.shape()));
  const std::int64_t classes = weight.shape()[0];
  channels_ += classes;
  if (channels_ > kMostChannels) module.fail("is one of too many: no MSDNet has such channels");
  tensors_[name + ".weight"] = weight;
  tensors_[name + ".bias"] =
      module.field("bias") != nullptr
          ? floats(module, "bias", {classes})
          : computed(classes, weight.dtype(), [](std::int64_t) { return 0.0; });
}

}  // namespace msd
