// SPDX-License-Identifier: MIT
#include "apps/common/tensor_file.h"

#include "kernels/error.h"

namespace msd {
namespace {

template <typename From, typename To>
void transpose(const From* planar, const View& images) {
  const std::int64_t positions = images.h * images.w;
  To* out = images.as<To>();
  for (std::int64_t n = 0; n < images.n; ++n) {
    for (std::int64_t c = 0; c < images.c; ++c) {
      for (std::int64_t p = 0; p < positions; ++p) {
        out[(n * positions + p) * images.pitch + c] = static_cast<To>(*planar++);
      }
    }
  }
}

}  // namespace

const Tensor& require_tensor(const Safetensors& file, const std::string& path,
                             const std::string& name) {
  const auto found = file.tensors.find(name);
  if (found == file.tensors.end()) throw FormatError(path + ": has no tensor `" + name + "`");
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
  return shape[0];
}

void copy_planar_images(const Tensor& planar, const View& images, const std::string& path) {
  const std::int64_t n = count_planar_images(planar, images.h, path);
  if (n != images.n) throw FormatError(message(path, ": ", n, " images, not ", images.n));
  if (planar.dtype() == DType::f64) {
    const double* from = planar.span<double>().data();
    images.dtype == DType::f64 ? transpose<double, double>(from, images)
                               : transpose<double, float>(from, images);
  } else {
    const float* from = planar.span<float>().data();
    images.dtype == DType::f64 ? transpose<float, double>(from, images)
                               : transpose<float, float>(from, images);
  }
}

}  // namespace msd
