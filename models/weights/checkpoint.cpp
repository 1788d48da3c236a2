// SPDX-License-Identifier: MIT
#include "models/weights/checkpoint.h"

#include <nlohmann/json.hpp>
#include <set>

#include "engine/files/file_kind.h"
#include "engine/files/hash.h"
#include "engine/files/json_text.h"
#include "engine/files/torch7_file.h"
#include "engine/files/torch_file.h"
#include "kernels/check.h"
#include "models/network/state_layout.h"
#include "models/weights/network_place.h"
#include "models/weights/torch7_state.h"
#include "models/weights/torch_state.h"

namespace msd {
namespace {

constexpr std::string_view kCheckpointFormat = "msd-checkpoint-1";

// Over name, type and bytes of each weight, in byte order of the names.
std::string fingerprint_of(const std::map<std::string, Tensor>& tensors) {
  Hash hash;
  for (const auto& [tensor_name, tensor] : tensors) {
    if (tensor_name.starts_with(kVelocityPrefix)) continue;
    hash.add(tensor_name);
    hash.add(name(tensor.dtype()));
    hash.add({static_cast<const std::byte*>(tensor.data()),
              static_cast<std::size_t>(tensor.elems() * size_bytes(tensor.dtype()))});
  }
  return hash.text();
}

StateDict read_state(const std::shared_ptr<const FileBytes>& file, WeightsFormat format,
                     const std::string& entry) {
  if (format == WeightsFormat::torch7) {
    StateDict state;
    state.tensors = torch7_state(Torch7File(file->bytes()).root());
    return state;
  }
  if (format != WeightsFormat::safetensors) {
    return torch_state(TorchFile(file->bytes()).root(), entry);
  }
  Safetensors safetensors = parse_safetensors(file);
  StateDict state;
  state.tensors = std::move(safetensors.tensors);
  if (const auto found = safetensors.metadata.find(kMetadataKey);
      found != safetensors.metadata.end()) {
    state.metadata = found->second;
    if (safetensors.checksum.empty()) throw FormatError("has lost its checksum: it is damaged");
  }
  std::vector<std::string> others;
  for (const auto& [tensor_name, type] : safetensors.passed_over) {
    if (const auto prefix = network_prefix(tensor_name);
        prefix && is_network_name(std::string_view(tensor_name).substr(prefix->size()))) {
      throw FormatError(message("tensor ", printable(tensor_name), " is of type ", type,
                                "; F64, F32, F16, BF16, I64, I32 and U8 are read"));
    }
    others.push_back(tensor_name);
  }
  normalize(state, entry, std::move(others));
  return state;
}

nlohmann::json to_json(const DataDescription& data) {
  nlohmann::json json = {{"dataset", data.dataset},
                         {"class_names", data.class_names},
                         {"mean", data.preprocessing.mean},
                         {"std", data.preprocessing.std}};
  const ImageFit& fit = data.preprocessing.fit;
  if (fit != ImageFit{}) json.update(nlohmann::json(fit));
  return json;
}

ImageFit fit_of(const nlohmann::json& described, const MsdnetConfig& config) {
  // Programs that did not store it trained on pictures of the input's size, or resized to it.
  if (!described.contains("resize")) return whole_fit(config);
  ImageFit fit;
  read_member(described, "resize", fit.resize);
  read_member(described, "crop", fit.crop);
  fit.interpolation = interpolation_named(described.at("interpolation").get<std::string>());
  if (fit.crop != config.image_size || fit.resize < fit.crop || fit.resize > ImageFit::kLargest) {
    throw FormatError(message("damaged metadata: images of ", fit.crop, "x", fit.crop,
                              " out of a shorter side of ", fit.resize, ", for a network's input ",
                              "of ", config.image_size));
  }
  return fit;
}

DataDescription data_of(const nlohmann::json& described, const MsdnetConfig& config) {
  DataDescription data;
  data.dataset = described.at("dataset").get<std::string>();
  data.class_names = described.at("class_names").get<std::vector<std::string>>();
  data.preprocessing.mean = described.at("mean").get<std::array<float, 3>>();
  data.preprocessing.std = described.at("std").get<std::array<float, 3>>();
  data.preprocessing.fit = fit_of(described, config);
  return data;
}

nlohmann::json parse_metadata(const std::string& text) {
  constexpr int kDeepest = 16;  // of the training's options and state; the rest has 3
  try {
    return parse_json(text, text.size(), kDeepest);
  } catch (const FormatError& error) {
    throw FormatError(message("has metadata that ", error.what()));
  }
}

void read_metadata(Checkpoint& checkpoint) {
  const nlohmann::json metadata = parse_metadata(*checkpoint.state.metadata);
  const auto format = metadata.at("format").get<std::string>();
  if (format != kCheckpointFormat) {
    throw FormatError("has format " + format + "; this program reads " +
                      std::string(kCheckpointFormat));
  }
  checkpoint.config = metadata.at("config").get<MsdnetConfig>();
  if (const nlohmann::json& data = metadata.at("data"); !data.is_null()) {
    checkpoint.data = data_of(data, *checkpoint.config);
  }
  checkpoint.training = metadata.at("training");
  if (metadata.contains("optimizer")) {
    checkpoint.state.optimizer = metadata.at("optimizer").get<OptimizerSettings>();
  } else if (checkpoint.training->is_object()) {
    const nlohmann::json options = checkpoint.training->value("options", nlohmann::json());
    if (options.contains("lr")) checkpoint.state.optimizer = options.get<OptimizerSettings>();
  }
}

std::string dump(const nlohmann::json& value) {
  try {
    return value.dump();
  } catch (const nlohmann::json::exception& error) {
    throw FormatError(message("the metadata: ", json_problem(error)));
  }
}

std::vector<NamedTensor> stored_tensors(const Network& network) {
  std::vector<NamedTensor> tensors = network.parameters().state();
  for (NamedTensor& velocity :
       network.parameters().velocities_by_name(std::string(kVelocityPrefix))) {
    tensors.push_back(std::move(velocity));
  }
  return tensors;
}

}  // namespace

std::string_view name(WeightsFormat format) {
  switch (format) {
    case WeightsFormat::safetensors:
      return "safetensors";
    case WeightsFormat::torch_zip:
      return "PyTorch (zip)";
    case WeightsFormat::torch_legacy:
      return "PyTorch (before 1.6)";
    case WeightsFormat::torch7:
      return "Torch7";
  }
  return "?";
}

WeightsFormat weights_format(std::span<const std::byte> bytes) {
  if (looks_like_torch7(bytes)) return WeightsFormat::torch7;
  if (looks_like_torch(bytes)) {
    return bytes[0] == std::byte{'P'} ? WeightsFormat::torch_zip : WeightsFormat::torch_legacy;
  }
  if (looks_like_safetensors(bytes)) return WeightsFormat::safetensors;
  if (const std::string kind = foreign_kind(bytes); !kind.empty()) throw FormatError("is " + kind);
  throw FormatError(
      "is no file of weights that is known here (safetensors, PyTorch's, Torch7's), or is damaged "
      "where it begins");
}

void Checkpoint::load_weights(Network& network) const {
  for (const auto& [name, tensor] : state.tensors) {
    if (!name.ends_with(".running_var")) continue;
    for (std::int64_t i = 0; i < tensor.elems(); ++i) {
      if (!(load_element(tensor.data(), tensor.dtype(), i) < 0.0)) continue;
      throw FormatError(message(path.string(), ": ", name, " is below 0 at channel ", i,
                                ", which no variance is; the file is damaged"));
    }
  }
  network.parameters().load_state(state.tensors, path.string(), {std::string(kVelocityPrefix)});
}

void Checkpoint::load_velocities(Network& network) const {
  network.parameters().load_velocities(state.tensors, std::string(kVelocityPrefix), path.string());
}

Checkpoint make_checkpoint(const std::filesystem::path& path, WeightsFormat format,
                           StateDict state) {
  Checkpoint checkpoint;
  checkpoint.path = path;
  checkpoint.format = format;
  checkpoint.state = std::move(state);
  checkpoint.fingerprint = fingerprint_of(checkpoint.state.tensors);
  if (!checkpoint.state.metadata) return checkpoint;
  try {
    read_metadata(checkpoint);
  } catch (const nlohmann::json::exception& error) {
    throw FormatError(message(path.string(), ": damaged metadata: ", json_problem(error)));
  } catch (const Error& error) {
    throw FormatError(message(path.string(), ": ", error.text()));
  }
  return checkpoint;
}

Checkpoint read_checkpoint(const std::filesystem::path& path, const std::string& entry) {
  return read_checkpoint(path, std::make_shared<const FileBytes>(path), entry);
}

Checkpoint read_checkpoint(const std::filesystem::path& path,
                           const std::shared_ptr<const FileBytes>& file, const std::string& entry) {
  WeightsFormat format{};
  StateDict state;
  try {
    format = weights_format(file->bytes());
    state = read_state(file, format, entry);
  } catch (const Error& error) {
    throw FormatError(message(path.string(), ": ", error.text()));
  }
  return make_checkpoint(path, format, std::move(state));
}

DeducedConfig deduce_config(const Checkpoint& checkpoint, const ConfigHints& hints) {
  StateShapes shapes;
  for (const auto& [name, tensor] : checkpoint.state.tensors) {
    if (!name.starts_with(kVelocityPrefix)) shapes[name] = tensor.shape();
  }
  try {
    return deduce_config(shapes, hints);
  } catch (const ConfigError& error) {
    throw ConfigError(message(checkpoint.path.string(), ": ", error.what()));
  }
}

void require_state(const Checkpoint& checkpoint, const MsdnetConfig& config) {
  const auto fail = [&](const auto&... parts) {
    throw FormatError(message(checkpoint.path.string(), ": ", parts...));
  };
  std::set<std::string> known;
  for (const StateEntry& entry : state_layout(make_architecture(config))) {
    const auto found = checkpoint.state.tensors.find(entry.name);
    if (found == checkpoint.state.tensors.end()) fail("tensor ", entry.name, " is missing");
    if (found->second.shape() != entry.shape) {
      fail("tensor ", entry.name, " is ", shape_text(found->second.shape()),
           " but the network has ", shape_text(entry.shape));
    }
    known.insert(entry.name);
  }
  for (const auto& entry : checkpoint.state.tensors) {
    const std::string& name = entry.first;
    if (!name.starts_with(kVelocityPrefix) && !known.contains(name)) {
      fail("tensor ", printable(name), " is not part of this network");
    }
  }
}

std::optional<std::string> metadata_json(const Checkpoint& checkpoint) {
  if (!checkpoint.config) return std::nullopt;
  nlohmann::json metadata = {
      {"format", kCheckpointFormat},
      {"config", *checkpoint.config},
      {"data", checkpoint.data ? to_json(*checkpoint.data) : nlohmann::json()},
      {"training", *checkpoint.training}};
  if (checkpoint.state.optimizer) metadata["optimizer"] = *checkpoint.state.optimizer;
  return dump(metadata);
}

std::int64_t checkpoint_bytes(const Network& network) {
  constexpr std::int64_t kMetadata = 4096;   // configuration, data, options, state
  constexpr std::int64_t kHeaderEntry = 80;  // of a tensor, beside its name: type, shape, offsets
  std::int64_t bytes = kMetadata;
  for (const NamedTensor& named : stored_tensors(network)) {
    bytes += named.tensor.elems() * size_bytes(named.tensor.dtype()) + kHeaderEntry +
             static_cast<std::int64_t>(named.name.size());
  }
  return bytes;
}

void write_checkpoint(const std::filesystem::path& path, const Network& network,
                      const DataDescription& data, const nlohmann::json& training,
                      const std::filesystem::path& previous) {
  Checkpoint described;
  described.config = network.config();
  described.data = data;
  described.training = training;
  std::string text;
  try {
    text = *metadata_json(described);
  } catch (const FormatError& error) {
    throw FormatError(message(path.string(), ": ", error.what()));
  }
  write_safetensors(path, stored_tensors(network), {{kMetadataKey, text}}, previous);
}

}  // namespace msd
