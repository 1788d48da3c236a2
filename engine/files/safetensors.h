// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/files/file.h"
#include "engine/tensor.h"

namespace msd {

/// What a safetensors file holds (huggingface/safetensors, format.md: an 8-byte little-endian
/// header length, a JSON header, then the tensors' bytes).
struct Safetensors {
  std::map<std::string, Tensor> tensors;  // contiguous, on the host
  /// Tensors of types that nothing here has (I8, F8_E4M3, C64, ...): their type by name.
  std::map<std::string, std::string> passed_over;
  std::map<std::string, std::string> metadata;
  std::string checksum;  // the entry of that name in the file's metadata, or empty
};

/// The metadata entry that write_safetensors adds: a Hash of the whole file, its own 32 digits as
/// zeros.
inline constexpr std::string_view kChecksumKey = "checksum";

/// Whether bytes begin like a file of this format: the header's size and the brace of its JSON.
bool looks_like_safetensors(std::span<const std::byte> bytes);

/// Reads and checks a file: the checksum where it has one, sizes, offsets without gap or overlap,
/// no name twice, types that the format has (F64, F32, F16, BF16, I64, I32 and U8 are read, others
/// passed over). The tensors lie in the mapped file, or in copies where it does not align them.
/// Throws IoError or FormatError naming the file and what is wrong with it.
Safetensors read_safetensors(const std::filesystem::path& path);
/// The same of a file that is in memory, without its name in the errors.
Safetensors parse_safetensors(const std::shared_ptr<const FileBytes>& file);

/// Writes atomically with a checksum; tensors (contiguous, names unique) by falling element size,
/// else in the order given, so that each is aligned. previous: where the old file goes, see
/// write_file_atomically.
void write_safetensors(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors,
                       std::map<std::string, std::string> metadata = {},
                       const std::filesystem::path& previous = {});

}  // namespace msd
