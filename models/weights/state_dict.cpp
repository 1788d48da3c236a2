// SPDX-License-Identifier: MIT
#include "models/weights/state_dict.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "kernels/check.h"
#include "models/weights/network_place.h"

namespace msd {
namespace {

constexpr std::string_view kModule = "module.";
constexpr std::string_view kVariance = ".running_var", kCounter = ".num_batches_tracked";
constexpr std::string_view kStem = "blocks.0.0.layers.0.0.";

// A part of a name as PyTorch counts it: numbers by value, words by when the module has them.
std::pair<int, std::int64_t> rank(std::string_view part) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), number);
  if (error == std::errc() && end == part.data() + part.size()) return {0, number};
  constexpr std::string_view kWords[] = {"blocks",
                                         "classifier",
                                         "layers",
                                         "m",
                                         "conv_down",
                                         "conv_normal",
                                         "net",
                                         "linear",
                                         "weight",
                                         "bias",
                                         "running_mean",
                                         "running_var",
                                         "num_batches_tracked"};
  return {1, std::find(std::begin(kWords), std::end(kWords), part) - std::begin(kWords)};
}

// Adds what files may lack.
void complete(StateDict& state) {
  std::vector<std::string> counters;
  for (const auto& [name, tensor] : state.tensors) {
    if (!name.ends_with(kVariance)) continue;
    counters.push_back(name.substr(0, name.size() - kVariance.size()) + std::string(kCounter));
  }
  for (const std::string& name : counters) {
    if (state.tensors.contains(name)) continue;
    state.tensors[name] = Tensor::zeros(host_allocator(), {}, DType::i64);
  }
  const auto stem = state.tensors.find(std::string(kStem) + "weight");
  const std::string bias = std::string(kStem) + "bias";
  if (stem != state.tensors.end() && stem->second.dim() == 4 && !state.tensors.contains(bias)) {
    state.tensors[bias] =
        Tensor::zeros(host_allocator(), {stem->second.shape()[0]}, stem->second.dtype());
  }
}

}  // namespace

void to_json(nlohmann::json& json, const OptimizerSettings& s) {
  json = {{"lr", s.lr},
          {"momentum", s.momentum},
          {"dampening", s.dampening},
          {"weight_decay", s.weight_decay},
          {"nesterov", s.nesterov}};
}

void from_json(const nlohmann::json& json, OptimizerSettings& s) {
  json.at("lr").get_to(s.lr);
  json.at("momentum").get_to(s.momentum);
  s.dampening = json.value("dampening", 0.0);
  json.at("weight_decay").get_to(s.weight_decay);
  json.at("nesterov").get_to(s.nesterov);
}

void take_network(StateDict& state, const std::string& prefix,
                  const std::set<std::string>& prefixes, std::vector<std::string> others) {
  std::map<std::string, Tensor> tensors;
  const auto is_of = [](std::string_view name, std::string_view before) {
    return name.starts_with(before) && is_network_name(name.substr(before.size()));
  };
  for (auto& [name, tensor] : state.tensors) {
    const bool is_velocity = name.starts_with(kVelocityPrefix);
    const std::string_view before = is_velocity ? kVelocityPrefix : std::string_view();
    const std::string_view bare = std::string_view(name).substr(before.size());
    if (is_of(bare, prefix)) {
      tensors.emplace(message(before, bare.substr(prefix.size())), std::move(tensor));
    } else if (std::none_of(prefixes.begin(), prefixes.end(),
                            [&](const std::string& other) { return is_of(bare, other); })) {
      others.push_back(name);
    }
  }
  state.tensors = std::move(tensors);
  if (!prefix.empty() && prefix != kModule) {
    state.notes.push_back("its names begin with \"" + printable(prefix) + "\", which is taken off");
  }
  if (!others.empty()) {
    state.notes.push_back(message("left out, as no MSDNet has them: ", names_text(others)));
  }
  complete(state);
}

void normalize(StateDict& state, const std::string& entry, std::vector<std::string> others) {
  std::set<std::string> prefixes;
  for (const auto& [name, tensor] : state.tensors) {
    if (auto prefix = network_prefix(name); prefix && !name.starts_with(kVelocityPrefix)) {
      prefixes.insert(std::move(*prefix));
    }
  }
  if (prefixes.empty()) return complete(state);
  std::vector<NetworkPlace> places;
  for (const std::string& prefix : prefixes) places.push_back({"", prefix});
  const std::string prefix = choose_network(places, entry, state.notes).prefix;
  take_network(state, prefix, prefixes, std::move(others));
}

bool torch_order(const std::string& a, const std::string& b) {
  std::string_view left = a, right = b;
  while (!left.empty() && !right.empty()) {
    const std::string_view x = left.substr(0, left.find('.'));
    const std::string_view y = right.substr(0, right.find('.'));
    if (x != y) return std::tuple(rank(x), x) < std::tuple(rank(y), y);
    left.remove_prefix(std::min(left.size(), x.size() + 1));
    right.remove_prefix(std::min(right.size(), y.size() + 1));
  }
  return left.empty() && !right.empty();
}

bool is_buffer(std::string_view name) {
  return name.ends_with(".running_mean") || name.ends_with(kVariance) || name.ends_with(kCounter);
}

}  // namespace msd
