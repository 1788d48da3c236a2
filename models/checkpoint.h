// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/safetensors.h"
#include "models/network.h"

namespace msd {

/// What a network must know of its data, beside its weights.
struct DataDescription {
  std::string dataset;                                 // "cifar10"
  std::vector<std::string> class_names;                // [classes], may be empty
  std::array<float, 3> mean{}, std{1.0f, 1.0f, 1.0f};  // per channel, grey levels
};

/// A weights file: this project's checkpoint (safetensors whose metadata holds configuration, data
/// description and training state as JSON), or a bare safetensors state dictionary.
struct Checkpoint {
  std::filesystem::path path;
  Safetensors file;
  // Absent in a bare state dictionary.
  std::optional<MsdnetConfig> config;
  std::optional<DataDescription> data;
  /// Whatever the trainer stored (null when it stored nothing).
  nlohmann::json training;
  /// A Hash's text over the parameters and statistics: names these weights elsewhere.
  std::string fingerprint;

  /// Puts weights and statistics into a network; throws FormatError naming the tensor that differs.
  void load_weights(Network& network) const;
  /// The optimiser's velocities too.
  void load_velocities(Network& network) const;
};

/// Throws IoError or FormatError naming the file.
Checkpoint read_checkpoint(const std::filesystem::path& path);

/// Writes atomically: parameters, statistics and counters under PyTorch's names, velocities under
/// "velocity/". previous: where the old file goes, see write_file_atomically.
void write_checkpoint(const std::filesystem::path& path, const Network& network,
                      const DataDescription& data, const nlohmann::json& training,
                      const std::filesystem::path& previous = {});

}  // namespace msd
