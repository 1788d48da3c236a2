// SPDX-License-Identifier: MIT
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/tensor.h"

namespace msd {

/// The settings of SGD with which a file's velocities were made.
struct OptimizerSettings {
  double lr = 0.0, momentum = 0.0, dampening = 0.0, weight_decay = 0.0;
  bool nesterov = false;

  bool operator==(const OptimizerSettings&) const = default;
};

void to_json(nlohmann::json& json, const OptimizerSettings& settings);
void from_json(const nlohmann::json& json, OptimizerSettings& settings);

inline constexpr std::string_view kVelocityPrefix = "velocity/";
/// Where files have this project's JSON about the network.
inline constexpr const char* kMetadataKey = "msd";

/// A network's tensors by this project's names (PyTorch's), contiguous and on the host; the
/// optimiser's velocities (PyTorch: momentum buffers) as kVelocityPrefix + the parameter's name.
struct StateDict {
  std::map<std::string, Tensor> tensors;
  std::optional<OptimizerSettings> optimizer;
  /// Why a file that has an optimiser has none of use here.
  std::string optimizer_problem;
  /// This project's JSON about the network: metadata_json() in models/weights/checkpoint.h.
  std::optional<std::string> metadata;
  /// What was decided in reading the file that its user has to know, a line each: which of several
  /// networks was taken, the prefix taken off its names, tensors left out.
  std::vector<std::string> notes;
  /// What else the file holds and nobody here needs: where, and what it is.
  std::vector<std::pair<std::string, std::string>> beside;
};

/// Keeps the tensors under `prefix`, without it, that some MSDNet has; the others are left out, and
/// `notes` tells of them and of `others`, names of what is no tensor here, but not of the networks
/// under `prefixes`. Adds what files may lack: counters of batches (PyTorch before 0.4.1), as 0,
/// and the bias of the ImageNet stem's convolution, as 0.
void take_network(StateDict& state, const std::string& prefix,
                  const std::set<std::string>& prefixes, std::vector<std::string> others);

/// The same of the network that choose_network() (models/weights/network_place.h) finds among the
/// tensors' names. Where they show none, they stay as they are.
void normalize(StateDict& state, const std::string& entry = {},
               std::vector<std::string> others = {});

/// Whether PyTorch's state dictionaries have name `a` before `b`: blocks before classifiers,
/// modules by number, down before normal, weight before bias before the statistics.
bool torch_order(const std::string& a, const std::string& b);

/// Whether the name is a batch norm's statistic or counter, which no optimiser steps.
bool is_buffer(std::string_view name);

}  // namespace msd
