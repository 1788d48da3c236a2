// SPDX-License-Identifier: MIT
#include "models/checkpoint.h"

#include "engine/hash.h"
#include "kernels/error.h"

namespace msd {
namespace {

constexpr std::string_view kVelocityPrefix = "velocity/";
constexpr std::string_view kFormat = "msd-checkpoint-1";

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

}  // namespace

void Checkpoint::load_weights(Network& network) const {
  network.parameters().load_state(file.tensors, path.string(), {std::string(kVelocityPrefix)});
}

void Checkpoint::load_velocities(Network& network) const {
  network.parameters().load_velocities(file.tensors, std::string(kVelocityPrefix), path.string());
}

Checkpoint read_checkpoint(const std::filesystem::path& path) {
  Checkpoint checkpoint;
  checkpoint.path = path;
  checkpoint.file = read_safetensors(path);
  checkpoint.fingerprint = fingerprint_of(checkpoint.file.tensors);
  const auto found = checkpoint.file.metadata.find("msd");
  if (found == checkpoint.file.metadata.end()) return checkpoint;
  try {
    const nlohmann::json json = nlohmann::json::parse(found->second);
    const auto format = json.at("format").get<std::string>();
    if (format != kFormat) {
      throw FormatError("has format " + format + "; this program reads " + std::string(kFormat));
    }
    if (checkpoint.file.checksum.empty()) {
      throw FormatError("has lost its checksum: it is damaged");
    }
    checkpoint.config = json.at("config").get<MsdnetConfig>();
    DataDescription data;
    const nlohmann::json& described = json.at("data");
    data.dataset = described.at("dataset").get<std::string>();
    data.class_names = described.at("class_names").get<std::vector<std::string>>();
    data.mean = described.at("mean").get<std::array<float, 3>>();
    data.std = described.at("std").get<std::array<float, 3>>();
    checkpoint.data = data;
    checkpoint.training = json.at("training");
  } catch (const nlohmann::json::exception& error) {
    throw FormatError(message(path.string(), ": damaged metadata: ", error.what()));
  } catch (const Error& error) {
    throw FormatError(message(path.string(), ": ", error.what()));
  }
  return checkpoint;
}

void write_checkpoint(const std::filesystem::path& path, const Network& network,
                      const DataDescription& data, const nlohmann::json& training,
                      const std::filesystem::path& previous) {
  std::vector<NamedTensor> tensors = network.parameters().state();
  for (NamedTensor& velocity :
       network.parameters().velocities_by_name(std::string(kVelocityPrefix))) {
    tensors.push_back(std::move(velocity));
  }
  const nlohmann::json json = {{"format", kFormat},
                               {"config", network.config()},
                               {"data",
                                {{"dataset", data.dataset},
                                 {"class_names", data.class_names},
                                 {"mean", data.mean},
                                 {"std", data.std}}},
                               {"training", training}};
  std::string text;
  try {
    text = json.dump();
  } catch (const nlohmann::json::exception& error) {
    throw FormatError(message(path.string(), ": the metadata: ", error.what()));
  }
  write_safetensors(path, tensors, {{"msd", text}}, previous);
}

}  // namespace msd
