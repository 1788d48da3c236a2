// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tensor.h"
#include "models/weights/torch7_module.h"

namespace msd {

/// Takes the tensors of Torch7's layers under names of this project, as they are where that is
/// possible, else computed in double: a layer here does exactly what Torch7's did, in training and
/// in evaluation. Throws FormatError naming the module for a layer that cannot be brought so far.
class Torch7Layers {
 public:
  struct Window {
    std::int64_t kernel = 1, stride = 1;  // padded by kernel / 2
  };

  /// A convolution and the batch norm behind it. A bias of the convolution, which is of no effect
  /// there, goes into the running mean unless it is kept under its own name.
  void convolution(const Torch7Module& conv, const Torch7Module& batchnorm, Window window,
                   const std::string& conv_name, const std::string& batchnorm_name,
                   bool keep_bias = false);
  void linear(const Torch7Module& module, const std::string& name);

  std::map<std::string, Tensor>& tensors() { return tensors_; }

 private:
  Tensor conv_weight(const Torch7Module& conv, std::int64_t kernel);
  void batchnorm(const Torch7Module& module, std::int64_t channels, const Tensor& conv_bias,
                 const std::string& name);
  Tensor running_var(const Torch7Module& module, std::int64_t channels);
  Tensor floats(const Torch7Module& module, std::string_view field);
  Tensor floats(const Torch7Module& module, std::string_view field,
                const std::vector<std::int64_t>& shape);

  std::map<std::string, Tensor> tensors_;
  std::set<const Torch7Value*> taken_;
  std::int64_t channels_ = 0;  // of all batch norms
};

}  // namespace msd
