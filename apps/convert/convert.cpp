// SPDX-License-Identifier: MIT
#include "apps/convert/convert.h"

#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/common/model_file.h"
#include "apps/common/output_file.h"
#include "apps/convert/describe.h"
#include "apps/convert/values.h"
#include "data/split.h"
#include "engine/files/pickle_objects.h"
#include "engine/files/torch_file.h"
#include "kernels/check.h"
#include "models/onnx/onnx_export.h"
#include "models/weights/network_place.h"
#include "models/weights/torch7_state.h"
#include "models/weights/torch_networks.h"
#include "models/weights/torch_state.h"

namespace msd {
namespace {

std::vector<NamedTensor> named(const std::map<std::string, Tensor>& tensors) {
  std::vector<NamedTensor> out;
  for (const auto& [name, tensor] : tensors) out.push_back({name, tensor});
  return out;
}

Weights with_config(Checkpoint read, const ConvertOptions& options) {
  Weights weights{std::move(read), false, {}};
  Checkpoint& checkpoint = weights.checkpoint;
  if (!checkpoint.config && !options.model.preset_given()) {
    DeducedConfig deduced = deduce_config(checkpoint, options.model.hints());
    checkpoint.config = std::move(deduced.config);
    weights.undecided = std::move(deduced.undecided);
    weights.deduced = true;
  } else {
    // What is claimed of the network must be what the tensors say.
    checkpoint.config = choose_network(checkpoint, options.model, std::nullopt).config;
    require_state(checkpoint, *checkpoint.config);
  }
  if (options.preprocessing.given()) {
    const ChosenDescription chosen =
        choose_description(checkpoint, *checkpoint.config, options.preprocessing, "");
    checkpoint.data = chosen.data;
    std::cerr << "msd-convert: " << options.output
              << " says of its images: " << preprocessing_text(chosen.data.preprocessing) << '\n';
  } else if (checkpoint.data) {  // for an input that the options may have changed
    checkpoint.data->preprocessing =
        with_hints(checkpoint.data->preprocessing, {}, *checkpoint.config);
  }
  return weights;
}

void write_weights(Weights& weights, const ConvertOptions& options) {
  Checkpoint& checkpoint = weights.checkpoint;
  StateDict& state = checkpoint.state;
  if (options.weights_only) {
    std::erase_if(state.tensors,
                  [](const auto& entry) { return entry.first.starts_with(kVelocityPrefix); });
    state.optimizer.reset();
    checkpoint.training = {};
  }
  state.metadata = metadata_json(checkpoint);
  if (options.target() == ConvertTarget::torch) {
    write_torch(options.output, torch_checkpoint(state, options.module_prefix));
  } else {
    write_safetensors(options.output, named(state.tensors), {{kMetadataKey, *state.metadata}});
  }
}

void write_network(const Checkpoint& checkpoint, const ConvertOptions& options) {
  Runtime runtime;
  Network network(*checkpoint.config, runtime.allocator());
  checkpoint.load_weights(network);
  OnnxOptions onnx;
  onnx.fold_batchnorm = !options.keep_batchnorm;
  if (options.exit > network.architecture().exits()) {
    throw ConfigError(message("--exit ", options.exit, ": ", options.input, " has ",
                              network.architecture().exits(), " exits"));
  }
  if (options.exit > 0) onnx.exits = {options.exit - 1};
  write_onnx(options.output, network, onnx, {{"fingerprint", checkpoint.fingerprint}});
}

void convert_weights(Checkpoint checkpoint, const ConvertOptions& options) {
  Weights weights = with_config(std::move(checkpoint), options);
  switch (options.target()) {
    case ConvertTarget::describe:
      return describe_weights(std::cout, weights, options.json);
    case ConvertTarget::safetensors:
    case ConvertTarget::torch:
      return write_weights(weights, options);
    case ConvertTarget::onnx:
      return write_network(weights.checkpoint, options);
    case ConvertTarget::json:
      throw ConfigError(options.input +
                        " holds a network's weights, which JSON is not for; write " +
                        ".safetensors, .pth or .onnx, or describe it with --json");
  }
}

void write_split(const ConvertOptions& options) {
  Runtime runtime;
  const Dataset data = options.data.load(runtime);
  const Split split = load_split(options.input, data, options.holdout);
  save_split(options.output, data, split);
  std::cerr << "held out " << split.holdout.size() << " of " << data.train.size()
            << " training images\n";
}

void convert_values(const PickleValue& root, const ConvertOptions& options) {
  if (options.preprocessing.given()) {
    throw ConfigError("holds no network's weights, which alone have images and classes");
  }
  switch (options.target()) {
    case ConvertTarget::describe:
      if (options.json) {
        std::cout << values_text(root) << '\n';
      } else {
        print_values(std::cout, root);
      }
      return;
    case ConvertTarget::json:
      write_file_atomically(options.output, values_text(root) + "\n");
      return;
    case ConvertTarget::safetensors: {
      std::vector<std::string> left_out;
      const std::map<std::string, Tensor> tensors = values_tensors(root, left_out);
      if (!left_out.empty()) {
        std::cerr << "warning: " << options.input
                  << ": left out, as no tensor here has their types: " << names_text(left_out)
                  << '\n';
      }
      if (tensors.empty()) throw ConfigError("holds no tensor; write .json");
      write_safetensors(options.output, named(tensors));
      return;
    }
    case ConvertTarget::torch:
    case ConvertTarget::onnx:
      throw ConfigError("holds no network's weights; write .json or .safetensors");
  }
}

// Of weights that are another network's, which nobody shall take for an MSDNet's.
constexpr const char* kAskForValues =
    "holds no MSDNet (no tensor is called blocks.0.0.layers.0. and so on), but other tensors or "
    "another model; --values shows or converts what it holds";

// The network in a file of PyTorch's or Torch7's, or of tensors; nothing where it holds other
// values, or these are asked for: they are converted.
std::optional<StateDict> state_or_values(const FileBytes& file, WeightsFormat format,
                                         const ConvertOptions& options) {
  if (format == WeightsFormat::torch7) {
    const Torch7File torch(file.bytes());
    const bool can_be_shown = options.target() == ConvertTarget::describe && !options.json;
    const bool has_network = has_torch7_network(torch.root());
    if (can_be_shown && (options.values || !has_network)) {
      if (!options.values && has_torch7_module(torch.root())) throw FormatError(kAskForValues);
      print_values(std::cout, torch.root());
      return std::nullopt;
    }
    if (options.values) throw FormatError("is Torch7's, whose values are shown as text alone");
    StateDict state;
    state.tensors = torch7_state(torch.root());
    return state;
  }
  const TorchFile torch(file.bytes());
  if (!options.values && has_torch_state(torch.root())) {
    return torch_state(torch.root(), options.entry);
  }
  if (!options.values && holds_weights(torch.root())) throw FormatError(kAskForValues);
  if (!options.entry.empty()) throw FormatError("holds no network, and so none for --entry");
  convert_values(torch.root(), options);
  return std::nullopt;
}

void convert_tensors(const Safetensors& file, const ConvertOptions& options) {
  PickleArena arena(~std::size_t{0} / 2);
  PickleValue::Dict dict;
  for (const auto& [name, tensor] : file.tensors) {
    dict.items.emplace_back(arena.add(std::string(name)), arena.add(Tensor(tensor)));
  }
  for (const auto& [name, type] : file.passed_over) {
    dict.items.emplace_back(arena.add(std::string(name)),
                            opaque_object("tensor of " + type, nullptr, arena));
  }
  convert_values(*arena.add(std::move(dict)), options);
}

// The weights in the input; nothing where it held something else, which is converted then.
std::optional<Checkpoint> weights_or_other(const ConvertOptions& options) {
  if (options.target() == ConvertTarget::json && options.given("--dataset")) {
    write_split(options);
    return std::nullopt;
  }
  const auto file = std::make_shared<const FileBytes>(options.input);
  WeightsFormat format{};
  std::optional<StateDict> state;
  try {
    format = weights_format(file->bytes());
    if (format != WeightsFormat::safetensors) {
      state = state_or_values(*file, format, options);
    } else if (options.values) {
      convert_tensors(parse_safetensors(file), options);
      return std::nullopt;
    }
  } catch (const FormatError& error) {
    throw FormatError(options.input + ": " + error.what());
  } catch (const ConfigError& error) {
    throw ConfigError(options.input + ": " + error.what());
  }
  if (state) return make_checkpoint(options.input, format, std::move(*state));
  if (format != WeightsFormat::safetensors) return std::nullopt;
  return read_checkpoint(options.input, file, options.entry);
}

}  // namespace

void convert(const ConvertOptions& options) {
  check_output({"output", options.output}, {{"input", options.input}});
  if (auto checkpoint = weights_or_other(options)) {
    print_notes(*checkpoint);
    convert_weights(std::move(*checkpoint), options);
  }
  require_printed();
}

}  // namespace msd
