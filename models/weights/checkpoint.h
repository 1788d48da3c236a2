// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "engine/files/json_value.h"
#include "engine/files/safetensors.h"
#include "models/network/data_description.h"
#include "models/network/network.h"
#include "models/weights/deduce_config.h"
#include "models/weights/state_dict.h"

namespace msd {

/// The kinds of files that weights come in.
enum class WeightsFormat : std::uint8_t { safetensors, torch_zip, torch_legacy, torch7 };
std::string_view name(WeightsFormat format);

/// Which of them the bytes look like. Throws FormatError saying what they are where like none.
WeightsFormat weights_format(std::span<const std::byte> bytes);

/// A weights file: this project's checkpoint (its JSON holds configuration, data description and
/// training state), or another's state dictionary.
struct Checkpoint {
  std::filesystem::path path;
  WeightsFormat format = WeightsFormat::safetensors;
  StateDict state;
  // Absent where the file does not say.
  std::optional<MsdnetConfig> config;
  std::optional<DataDescription> data;
  /// Whatever the trainer stored (null when it stored nothing).
  JsonValue training;
  /// A Hash's text over the parameters and statistics: names these weights elsewhere.
  std::string fingerprint;

  /// Puts weights and statistics into a network; throws FormatError naming the tensor that differs.
  void load_weights(Network& network) const;
  /// The optimiser's velocities too.
  void load_velocities(Network& network) const;
};

/// Reads a weights file of any kind: safetensors, PyTorch's (zip or legacy) or Torch7's, told apart
/// by their bytes. `entry`: which of several networks in it, see choose_network(). Throws IoError
/// or FormatError naming the file.
Checkpoint read_checkpoint(const std::filesystem::path& path, const std::string& entry = {});
/// The same of bytes that were read from there before: a pipe gives them once.
Checkpoint read_checkpoint(const std::filesystem::path& path,
                           const std::shared_ptr<const FileBytes>& file, const std::string& entry);
/// The same of a state that was found in the file `path` already.
Checkpoint make_checkpoint(const std::filesystem::path& path, WeightsFormat format,
                           StateDict state);

/// The configuration that the tensors' names and shapes imply, see models/weights/deduce_config.h;
/// the errors name the file.
DeducedConfig deduce_config(const Checkpoint& checkpoint, const ConfigHints& hints = {});

/// Throws FormatError unless the tensors are those of a network of this configuration.
void require_state(const Checkpoint& checkpoint, const MsdnetConfig& config);

/// About how many bytes a checkpoint of this network takes.
std::int64_t checkpoint_bytes(const Network& network);

/// Writes atomically, as safetensors: parameters, statistics and counters under PyTorch's names,
/// velocities under kVelocityPrefix. previous: where the old file goes, see write_file_atomically.
void write_checkpoint(const std::filesystem::path& path, const Network& network,
                      const DataDescription& data, const nlohmann::json& training,
                      const std::filesystem::path& previous = {});

/// The JSON about a network that files carry: configuration, data, training, optimiser's settings.
/// Nothing where the configuration is not known.
std::optional<std::string> metadata_json(const Checkpoint& checkpoint);

}  // namespace msd
