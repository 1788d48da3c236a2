// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace msd {

/// The whole file; throws IoError naming it.
std::vector<std::byte> read_file(const std::filesystem::path& path);
std::string read_text_file(const std::filesystem::path& path);

/// Writes `parts` one after another to a temporary name beside `path`, syncs it and renames it over
/// `path`: readers see the old file or the new one, whole. Throws IoError naming the file and
/// removes the temporary one; the old file is untouched then.
void write_file_atomically(const std::filesystem::path& path,
                           const std::vector<std::span<const std::byte>>& parts);
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

}  // namespace msd
