// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "engine/parameters.h"
#include "engine/tensor.h"

namespace msd {

/// What a safetensors file holds (huggingface/safetensors, format.md: an 8-byte little-endian
/// header length, a JSON header, then the tensors' bytes).
struct Safetensors {
  std::map<std::string, Tensor> tensors;  // contiguous, on the host
  std::map<std::string, std::string> metadata;
};

/// Reads and checks a file: sizes, offsets without gap or overlap, known types (F32, F64, I64, I32,
/// U8). Throws IoError or FormatError naming the file and what is wrong with it.
Safetensors read_safetensors(const std::filesystem::path& path);

/// Writes atomically, tensors in the order given (contiguous), names unique.
void write_safetensors(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace msd
