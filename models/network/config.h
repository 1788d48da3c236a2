// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string_view>
#include <vector>

namespace msd {

enum class InputKind : std::uint8_t { cifar, imagenet };
enum class StepMode : std::uint8_t { even, lin_grow };
enum class PruneMode : std::uint8_t { max, min };

std::string_view name(InputKind kind);
std::string_view name(StepMode mode);
std::string_view name(PruneMode mode);

/// Everything that shapes an MSDNet (Huang et al., "Multi-Scale Dense Networks for Resource
/// Efficient Image Classification", ICLR 2018). Each field has its row in
/// models/network/config_fields.h.
struct MsdnetConfig {
  /// What check() allows: blocks, layers of a block, channels of a scale with the factor 1,
  /// factors.
  static constexpr std::int64_t kLargestBlocks = 1000, kLargestStep = 1000;
  static constexpr std::int64_t kLargestChannels = 65536, kLargestFactor = 4096;

  std::int64_t blocks = 10;  // one exit a block
  StepMode step_mode = StepMode::even;
  std::int64_t step = 2;  // layers a later block: step (even) or step*i+1 for block i+1 (lin_grow)
  std::int64_t base = 4;  // layers of block 1
  std::int64_t init_channels = 16;
  std::int64_t growth_rate = 6;
  std::vector<std::int64_t> growth_factors = {1, 2, 4};  // one a scale, finest first
  bool bottleneck = true;
  std::vector<std::int64_t> bottleneck_factors = {1, 2, 4};
  PruneMode prune = PruneMode::max;
  double reduction = 0.5;  // of a transition; 0 = no transitions
  std::int64_t classes = 10;
  InputKind input_kind = InputKind::cifar;
  std::int64_t image_size = 32;  // height and width of the input, 3 channels

  std::int64_t scales() const { return static_cast<std::int64_t>(growth_factors.size()); }
  /// Layers of block b (from 0).
  std::int64_t block_layers(std::int64_t block) const;
  /// Layers of all blocks; the stem is not counted.
  std::int64_t layers() const;
  /// Throws ConfigError naming the option that cannot work, alone or with another.
  void check() const;

  bool operator==(const MsdnetConfig&) const = default;
};

void to_json(nlohmann::json& json, const MsdnetConfig& config);
/// Missing keys keep their defaults; an unknown key or a wrong type throws ConfigError.
void from_json(const nlohmann::json& json, MsdnetConfig& config);

struct Preset {
  std::string_view name;
  std::string_view description;
  MsdnetConfig config;
  std::string_view usual_for = {};  // the data set whose network it is where nobody names one
};

/// The named configurations, in the order they are listed to people.
const std::vector<Preset>& presets();

/// The preset that is usual for a data set: "cifar10", "cifar100", "synthetic" or "imagenet"; null
/// for others.
const Preset* usual_preset(std::string_view dataset);

/// The configuration of a preset; throws ConfigError listing the names where it is unknown.
const MsdnetConfig& preset(std::string_view name);

}  // namespace msd
