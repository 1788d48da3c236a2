// SPDX-License-Identifier: MIT
#include "kernels/check.h"
#include "models/network/config.h"

namespace msd {
namespace {

MsdnetConfig cifar(std::int64_t classes, std::int64_t blocks, StepMode mode, std::int64_t step,
                   std::int64_t base) {
  MsdnetConfig c;
  c.classes = classes;
  c.blocks = blocks;
  c.step_mode = mode;
  c.step = step;
  c.base = base;
  return c;
}

MsdnetConfig tiny(std::int64_t classes) {
  MsdnetConfig c = cifar(classes, 3, StepMode::even, 1, 2);
  c.init_channels = 8;
  c.growth_rate = 4;
  return c;
}

MsdnetConfig quick() {
  MsdnetConfig c = cifar(10, 4, StepMode::lin_grow, 1, 1);
  c.init_channels = 8;
  c.growth_rate = 4;
  return c;
}

MsdnetConfig imagenet(std::int64_t step) {
  MsdnetConfig c = cifar(1000, 5, StepMode::even, step, step);
  c.init_channels = 32;
  c.growth_rate = 16;
  c.growth_factors = {1, 2, 4, 4};
  c.bottleneck_factors = {1, 2, 4, 4};
  c.input_kind = InputKind::imagenet;
  c.image_size = 224;
  return c;
}

}  // namespace

const std::vector<Preset>& presets() {
  static const std::vector<Preset> all = {
      {"cifar10-tiny", "3 exits, 9 M mul-adds: trains on a CPU in minutes", tiny(10)},
      {"cifar10-quick", "4 exits, 18 M mul-adds: the quickstart's network", quick(), "synthetic"},
      {"cifar10-anytime10", "10 exits (paper, anytime prediction)",
       cifar(10, 10, StepMode::even, 2, 4), "cifar10"},
      {"cifar10-batch5", "5 exits (paper, budgeted batch)", cifar(10, 5, StepMode::lin_grow, 1, 1)},
      {"cifar10-batch7", "7 exits (paper, budgeted batch)", cifar(10, 7, StepMode::lin_grow, 1, 1)},
      {"cifar10-batch8", "8 exits (paper, budgeted batch)", cifar(10, 8, StepMode::lin_grow, 1, 1)},
      {"cifar100-anytime7", "7 exits of the paper's CIFAR-100 anytime network",
       cifar(100, 7, StepMode::even, 2, 4), "cifar100"},
      {"cifar100-anytime10", "10 exits (paper, anytime prediction)",
       cifar(100, 10, StepMode::even, 2, 4)},
      {"cifar100-batch5", "5 exits (paper, budgeted batch)",
       cifar(100, 5, StepMode::lin_grow, 1, 1)},
      {"cifar100-batch7", "7 exits (paper, budgeted batch)",
       cifar(100, 7, StepMode::lin_grow, 1, 1)},
      {"cifar100-batch8", "8 exits (paper, budgeted batch)",
       cifar(100, 8, StepMode::lin_grow, 1, 1)},
      {"imagenet-k4", "5 exits every 4 layers, 1.4 G mul-adds", imagenet(4), "imagenet"},
      {"imagenet-k6", "5 exits every 6 layers", imagenet(6)},
      {"imagenet-k7", "5 exits every 7 layers, 3.2 G mul-adds", imagenet(7)},
  };
  return all;
}

const Preset* usual_preset(std::string_view dataset) {
  for (const Preset& preset : presets()) {
    if (!dataset.empty() && preset.usual_for == dataset) return &preset;
  }
  return nullptr;
}

const MsdnetConfig& preset(std::string_view wanted) {
  std::string names;
  for (const Preset& preset : presets()) {
    if (preset.name == wanted) return preset.config;
    names += (names.empty() ? "" : ", ") + std::string(preset.name);
  }
  throw ConfigError(message("--preset ", wanted, " is unknown; use one of ", names));
}

}  // namespace msd
