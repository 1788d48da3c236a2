// SPDX-License-Identifier: MIT
#include "apps/convert/describe.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>
#include <set>

#include "engine/files/json_text.h"
#include "kernels/check.h"
#include "models/network/config_hints.h"

namespace msd {
namespace {

struct Totals {
  std::int64_t tensors = 0, parameters = 0, velocities = 0;
  std::set<std::string> types;  // of the parameters
};

Totals totals_of(const StateDict& state) {
  Totals totals;
  for (const auto& [tensor_name, tensor] : state.tensors) {
    if (tensor_name.starts_with(kVelocityPrefix)) {
      ++totals.velocities;
      continue;
    }
    ++totals.tensors;
    if (is_buffer(tensor_name)) continue;
    totals.parameters += tensor.elems();
    totals.types.emplace(name(tensor.dtype()));
  }
  return totals;
}

// As the options would say it.
std::string options_of(const MsdnetConfig& config) {
  ConfigHints all(config);
  if (config.bottleneck) {
    all.forget(&MsdnetConfig::bottleneck);  // the factors say it
  } else {
    all.forget(&MsdnetConfig::bottleneck_factors);
  }
  return all.options();
}

nlohmann::json preprocessing_json(const Checkpoint& checkpoint) {
  if (!checkpoint.data) return {};
  const Preprocessing& preprocessing = checkpoint.data->preprocessing;
  nlohmann::json json(preprocessing.fit);
  json["mean"] = preprocessing.mean;
  json["std"] = preprocessing.std;
  return json;
}

// The first few, where there are many.
std::string class_list(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 10;
  std::string text = std::to_string(names.size()) + ": ";
  for (std::size_t i = 0; i < std::min(kMost, names.size()); ++i) {
    text += (i == 0 ? "" : ", ") + one_line(names[i]);
  }
  return names.size() > kMost ? text + ", ..." : text;
}

nlohmann::ordered_json json_of(const Weights& weights) {
  const Checkpoint& checkpoint = weights.checkpoint;
  const Totals totals = totals_of(checkpoint.state);
  nlohmann::ordered_json json = {
      {"file", checkpoint.path.string()},
      {"format", name(checkpoint.format)},
      {"config", nlohmann::json(*checkpoint.config)},
      {"config_source", weights.deduced ? "names and shapes" : "file"},
      {"undecided", weights.undecided},
      {"parameters", totals.parameters},
      {"dtypes", totals.types},
      {"velocities", totals.velocities},
      {"optimizer",
       checkpoint.state.optimizer ? nlohmann::json(*checkpoint.state.optimizer) : nlohmann::json()},
      {"dataset", checkpoint.data ? nlohmann::json(checkpoint.data->dataset) : nlohmann::json()},
      {"preprocessing", preprocessing_json(checkpoint)},
      {"class_names",
       checkpoint.data ? nlohmann::json(checkpoint.data->class_names) : nlohmann::json()},
      {"notes", checkpoint.state.notes},
      {"fingerprint", checkpoint.fingerprint}};
  nlohmann::ordered_json beside = nlohmann::ordered_json::object();
  for (const auto& [at, what] : checkpoint.state.beside) beside[printable(at)] = what;
  json["beside"] = std::move(beside);
  nlohmann::ordered_json tensors = nlohmann::ordered_json::object();
  for (const auto& [tensor_name, tensor] : checkpoint.state.tensors) {
    tensors[tensor_name] = {{"dtype", name(tensor.dtype())}, {"shape", tensor.shape()}};
  }
  json["tensors"] = std::move(tensors);
  return json;
}

}  // namespace

void describe_weights(std::ostream& out, const Weights& weights, bool json) {
  if (json) {
    out << printed_json(json_of(weights)) << '\n';
    return;
  }
  const Checkpoint& checkpoint = weights.checkpoint;
  const Totals totals = totals_of(checkpoint.state);
  std::string types;
  for (const std::string& type : totals.types) types += (types.empty() ? "" : ", ") + type;
  out << "file: " << checkpoint.path.string() << ", " << name(checkpoint.format) << '\n'
      << "weights: " << totals.parameters << " parameters of type " << types << " in "
      << totals.tensors << " tensors with the statistics\n"
      << "network (" << (weights.deduced ? "by names and shapes" : "as the file says")
      << "): " << options_of(*checkpoint.config) << '\n';
  for (const std::string& note : weights.undecided) out << "  " << note << '\n';
  if (checkpoint.state.optimizer) {
    const OptimizerSettings& s = *checkpoint.state.optimizer;
    out << "optimizer: SGD, rate " << s.lr << ", momentum " << s.momentum
        << (s.nesterov ? " (Nesterov)" : "") << ", weight decay " << s.weight_decay << ", "
        << totals.velocities << " velocities\n";
  } else if (!checkpoint.state.optimizer_problem.empty()) {
    out << "optimizer: not usable, " << checkpoint.state.optimizer_problem << '\n';
  }
  if (checkpoint.data) {
    const DataDescription& data = *checkpoint.data;
    if (!data.dataset.empty()) out << "data: " << data.dataset << '\n';
    out << "images: " << preprocessing_text(data.preprocessing) << '\n';
    if (!data.class_names.empty()) out << "classes: " << class_list(data.class_names) << '\n';
  } else {
    out << "images: the file does not say how they are prepared; usual for its kind of network: "
        << preprocessing_text(usual_preprocessing(*checkpoint.config)) << '\n';
  }
  out << "fingerprint: " << checkpoint.fingerprint << '\n';
  if (checkpoint.state.beside.empty()) return;
  out << "also in the file, not needed here:\n";
  for (const auto& [at, what] : checkpoint.state.beside) {
    out << "  " << printable(at) << ": " << what << '\n';
  }
}

}  // namespace msd
