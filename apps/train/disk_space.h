// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace msd {

/// Compares what a run's checkpoints of `checkpoint_bytes` will take at once (latest, previous,
/// best, the one being written, and `kept`) with what its folder has free, the checkpoints that lie
/// there included. Throws IoError where not even two fit. Returns what to warn of, or "".
std::string check_disk_space(const std::filesystem::path& run_dir, std::int64_t checkpoint_bytes,
                             std::int64_t kept);

}  // namespace msd
