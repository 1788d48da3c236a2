// SPDX-License-Identifier: MIT
#include "models/weights/deduce_config.h"

#include <algorithm>
#include <set>

#include "engine/tensor.h"
#include "kernels/check.h"
#include "models/network/architecture.h"
#include "models/weights/deduce_widths.h"
#include "models/weights/state_structure.h"

namespace msd {
namespace {

/// "`found`, but the network ... `needed`: ...".
[[noreturn]] void refuse(const std::string& found, const std::string& needed,
                         const ConfigHints& hints) {
  // No tensor can contradict the image size.
  const std::string options = ConfigHints(hints).forget(&MsdnetConfig::image_size).options();
  if (options.empty()) {
    throw ConfigError(
        message(found, ", but the network that the other tensors describe ", needed, kNotAnMsdnet));
  }
  throw ConfigError(message(found, ", but the network with ", options, " ", needed,
                            ": a wrong option, or a damaged file"));
}

/// Sets blocks, base, step_mode and step.
void deduce_blocks(const StateStructure& structure, const ConfigHints& hints,
                   MsdnetConfig& config) {
  const std::vector<std::int64_t>& layers = structure.block_layers;
  const auto blocks = static_cast<std::int64_t>(layers.size());
  config.blocks = blocks;
  config.base = hints.get(&MsdnetConfig::base).value_or(layers[0]);
  for (const StepMode mode : {StepMode::even, StepMode::lin_grow}) {
    config.step_mode = mode;
    // Block 2 has step or step+1 layers; a network of one block has any step.
    const std::int64_t step =
        blocks == 1 ? 1 : std::max<std::int64_t>(1, layers[1] - (mode == StepMode::even ? 0 : 1));
    config.step = hints.get(&MsdnetConfig::step).value_or(step);
    bool fits = hints.get(&MsdnetConfig::step_mode).value_or(mode) == mode &&
                hints.get(&MsdnetConfig::blocks).value_or(blocks) == blocks && config.step >= 1 &&
                config.step <= MsdnetConfig::kLargestStep;
    for (std::int64_t block = 0; fits && block < blocks; ++block) {
      fits = config.block_layers(block) == layers[static_cast<std::size_t>(block)];
    }
    if (fits) return;
  }
  refuse(message("the file has ", blocks, " blocks of ", shape_text(layers), " layers"),
         "has --base layers in its first block and --step in the others, or with --step-mode "
         "lin_grow step*1+1, step*2+1, ...",
         hints);
}

/// The first layer whose scales or transition are not those of config, and what is wrong with it.
struct Misfit {
  std::size_t layer = 0;
  std::string found, needed;
};

std::optional<Misfit> misfit_of(const StateStructure& structure, const MsdnetConfig& config) {
  const std::vector<LayerScales> wanted = layer_scales(config);
  for (std::size_t l = 0; l < wanted.size(); ++l) {
    const StateLayer& layer = structure.layers[l];
    const std::string place = message("layer ", l + 1, " of ", wanted.size());
    if (layer.scales != wanted[l].out) {
      return Misfit{l, message(layer.name, "layers has ", layer.scales, " scales"),
                    message("has ", wanted[l].out, " in ", place)};
    }
    if (layer.transition.empty() == wanted[l].transition) {
      const std::string_view none = "no transition", one = "a transition";
      return Misfit{l,
                    message("layer ", layer.name.substr(0, layer.name.size() - 1), " has ",
                            wanted[l].transition ? none : one, " behind it"),
                    message("has ", wanted[l].transition ? one : none, " after ", place)};
    }
  }
  return std::nullopt;
}

/// Sets prune. Modes with the same scales and transitions make the same network.
void deduce_prune(const StateStructure& structure, const ConfigHints& hints, MsdnetConfig& config) {
  std::optional<Misfit> worst;  // of the mode that explains more of the file
  for (const PruneMode mode : {PruneMode::max, PruneMode::min}) {
    if (hints.get(&MsdnetConfig::prune).value_or(mode) != mode) continue;
    config.prune = mode;
    const std::optional<Misfit> misfit = misfit_of(structure, config);
    if (!misfit.has_value()) return;
    if (!worst.has_value() || misfit->layer > worst->layer) worst = misfit;
  }
  refuse(worst->found, worst->needed, hints);
}

Architecture build(const MsdnetConfig& config) {
  try {
    return make_architecture(config);
  } catch (const ConfigError& error) {
    throw ConfigError(
        message("the network that the tensors suggest cannot be built: ", error.what()));
  }
}

bool may_be_absent(const StateEntry& entry) {
  return entry.role == StateEntry::Role::batches_tracked ||
         (entry.role == StateEntry::Role::bias && entry.name.starts_with("blocks."));
}

/// Throws unless the file's tensors are those of the network.
void check_tensors(const StateShapes& shapes, const Architecture& net, const ConfigHints& hints) {
  std::set<std::string> known;
  for (const StateEntry& entry : state_layout(net)) {
    const auto found = shapes.find(entry.name);
    if (found == shapes.end()) {
      if (may_be_absent(entry)) continue;
      refuse(entry.name + " is missing", "has it as " + shape_text(entry.shape), hints);
    }
    if (found->second != entry.shape) {
      refuse(entry.name + " is " + shape_text(found->second), "needs " + shape_text(entry.shape),
             hints);
    }
    known.insert(entry.name);
  }
  if (known.size() == shapes.size()) return;
  for (const auto& tensor : shapes) {
    const std::string& name = tensor.first;
    if (!known.contains(name))
      refuse("the file has " + printable(name), "has no such tensor", hints);
  }
}

}  // namespace

DeducedConfig deduce_config(const StateShapes& shapes, const ConfigHints& hints) {
  const StateStructure structure = read_structure(shapes);
  const std::int64_t scales = structure.scales;
  MsdnetConfig config;
  deduce_blocks(structure, hints, config);

  // Of these, what scales and transitions depend on.
  const bool transitions =
      std::any_of(structure.layers.begin(), structure.layers.end(),
                  [](const StateLayer& layer) { return !layer.transition.empty(); });
  config.reduction = hints.get(&MsdnetConfig::reduction).value_or(transitions ? 0.5 : 0.0);
  config.growth_factors.assign(static_cast<std::size_t>(scales), 1);
  config.bottleneck = false;
  config.check();
  const std::size_t wanted =
      hints.get(&MsdnetConfig::growth_factors).value_or(config.growth_factors).size();
  if (wanted != config.growth_factors.size()) {
    refuse(message("the stem (blocks.0.0) has ", scales, " scales"), message("has ", wanted),
           hints);
  }
  deduce_prune(structure, hints, config);

  deduce_bottleneck(shapes, structure, config);
  deduce_widths(shapes, structure, hints, config);
  config.classes = shape_of(shapes, "classifier.0.linear.weight", 2)[0];
  config.input_kind = hints.get(&MsdnetConfig::input_kind).value_or(structure.input_kind);
  config.image_size = config.input_kind == InputKind::cifar ? 32 : 224;
  hints.apply_to(config);
  check_tensors(shapes, build(config), hints);

  DeducedConfig deduced = {config, {}};
  if (!hints.get(&MsdnetConfig::image_size)) {
    deduced.undecided.push_back(
        message("image size: ", config.image_size, " (not in the file; --image-size)"));
  }
  return deduced;
}

}  // namespace msd
