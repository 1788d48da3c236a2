// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "engine/safetensors.h"

namespace msd {

/// Tensor `name` of `file`, or FormatError naming `path`.
const Tensor& require_tensor(const Safetensors& file, const std::string& path,
                             const std::string& name);

/// Copies images [n,3,size,size] (F32 or F64, planar) into NHWC images of the same shape; throws
/// FormatError naming `path` where the shape differs.
void copy_planar_images(const Tensor& planar, const View& images, const std::string& path);

/// The number of images in `planar`, [n,3,size,size]; throws FormatError naming `path`.
std::int64_t count_planar_images(const Tensor& planar, std::int64_t size, const std::string& path);

}  // namespace msd
