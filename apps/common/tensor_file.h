// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "engine/files/safetensors.h"

namespace msd {

/// Tensor `name` of `file`, or FormatError naming `path`. (No std::string: g++ 13 and 14 take what
/// is returned for a part of a temporary one.)
const Tensor& require_tensor(const Safetensors& file, const std::string& path, const char* name);

/// The number of images in `planar`, [n,3,size,size]; throws FormatError naming `path`.
std::int64_t count_planar_images(const Tensor& planar, std::int64_t size, const std::string& path);

/// Planar images [n,c,h,w] (F32 or F64, contiguous) as an activation [n,h,w,c] of the same type.
Tensor channels_last(const Tensor& planar);

}  // namespace msd
