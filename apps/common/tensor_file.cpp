// SPDX-License-Identifier: MIT
#include "apps/common/tensor_file.h"

#include <cmath>

#include "kernels/check.h"

namespace msd {

const Tensor& require_tensor(const Safetensors& file, const std::string& path, const char* name) {
  const auto found = file.tensors.find(name);
  if (found == file.tensors.end()) throw FormatError(message(path, ": has no tensor `", name, "`"));
  return found->second;
}

std::int64_t count_planar_images(const Tensor& planar, std::int64_t size, const std::string& path) {
  const std::vector<std::int64_t>& shape = planar.shape();
  const bool fits =
      shape.size() == 4 && shape[0] > 0 && shape[1] == 3 && shape[2] == size && shape[3] == size;
  const bool is_float = planar.dtype() == DType::f32 || planar.dtype() == DType::f64;
  if (!fits || !is_float) {
    throw FormatError(message(path, ": `input` is not F32 or F64 [n,3,", size, ",", size,
                              "], which the network takes"));
  }
  for (std::int64_t i = 0; i < planar.elems(); ++i) {
    const double value = load_element(planar.data(), planar.dtype(), i);
    if (std::isfinite(value)) continue;
    throw FormatError(message(path, ": `input` is ", value, " at element ", i));
  }
  return shape[0];
}

Tensor channels_last(const Tensor& planar) {
  const std::int64_t n = planar.shape()[0], c = planar.shape()[1];
  const std::int64_t h = planar.shape()[2], w = planar.shape()[3], positions = h * w;
  Tensor images = Tensor::activation(host_allocator(), n, h, w, c, planar.dtype());
  const std::int64_t pitch = images.view().pitch;
  for (std::int64_t from = 0; from < planar.elems(); ++from) {
    const std::int64_t image = from / (c * positions), channel = from / positions % c;
    store_element(images.data(), planar.dtype(),
                  (image * positions + from % positions) * pitch + channel,
                  load_element(planar.data(), planar.dtype(), from));
  }
  return images;
}

}  // namespace msd
