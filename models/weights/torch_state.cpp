// SPDX-License-Identifier: MIT
#include "models/weights/torch_state.h"

#include <algorithm>

#include "kernels/check.h"
#include "models/weights/network_place.h"
#include "models/weights/torch_networks.h"

namespace msd {
namespace {

using Dict = PickleValue::Dict;
using List = PickleValue::List;

double number_of(const PickleValue* value, double without) {
  if (value == nullptr) return without;
  if (const auto* real = value->as<double>()) return *real;
  if (const auto* integer = value->as<std::int64_t>()) return static_cast<double>(*integer);
  if (const auto* tensor = value->as<Tensor>(); tensor != nullptr && tensor->elems() == 1) {
    return load_element(tensor->data(), tensor->dtype(), 0);
  }
  throw FormatError(message("a setting is ", value->kind()));
}

bool flag_of(const PickleValue* value) {
  return value != nullptr && value->as<bool>() != nullptr && *value->as<bool>();
}

OptimizerSettings settings_of(const PickleValue& group) {
  if (group.find("momentum") == nullptr || group.find("lr") == nullptr) {
    throw FormatError("it is not SGD's");
  }
  OptimizerSettings settings;
  settings.lr = number_of(group.find("lr"), 0.0);
  settings.momentum = number_of(group.find("momentum"), 0.0);
  settings.dampening = number_of(group.find("dampening"), 0.0);
  settings.weight_decay = number_of(group.find("weight_decay"), 0.0);
  settings.nesterov = flag_of(group.find("nesterov"));
  return settings;
}

// Parameters are counted through all groups, in the order of the state dictionary.
void read_optimizer(const PickleValue& optimizer, const std::vector<std::string>& parameters,
                    StateDict& state) {
  const PickleValue* groups = optimizer.find("param_groups");
  const PickleValue* states = optimizer.find("state");
  const auto* group_list = groups == nullptr ? nullptr : groups->as<List>();
  const auto* state_dict = states == nullptr ? nullptr : states->as<Dict>();
  if (group_list == nullptr || group_list->items.empty() || state_dict == nullptr) {
    throw FormatError("it has no parameter groups");
  }
  std::map<std::int64_t, std::string> name_of;
  std::optional<OptimizerSettings> settings;
  std::size_t next = 0;
  for (const PickleValue* group : group_list->items) {
    if (settings && !(*settings == settings_of(*group))) {
      throw FormatError("its groups have different settings");
    }
    settings = settings_of(*group);
    const PickleValue* ids = group->find("params");
    if (ids == nullptr || ids->as<List>() == nullptr) {
      throw FormatError("a group has no parameters");
    }
    for (const PickleValue* id : ids->as<List>()->items) {
      if (id->as<std::int64_t>() == nullptr || next == parameters.size()) {
        throw FormatError("it is for other parameters");
      }
      name_of[*id->as<std::int64_t>()] = parameters[next++];
    }
  }
  if (next != parameters.size()) throw FormatError("it is for fewer parameters");
  std::map<std::string, Tensor> velocities;
  for (const auto& [key, of_parameter] : state_dict->items) {
    const PickleValue* buffer = of_parameter->find("momentum_buffer");
    if (buffer == nullptr || buffer->as<PickleValue::None>() != nullptr) continue;
    const auto* id = key->as<std::int64_t>();
    const auto* tensor = buffer->as<Tensor>();
    if (id == nullptr || tensor == nullptr || !name_of.contains(*id)) {
      throw FormatError("a momentum belongs to no parameter");
    }
    const std::string& name = name_of.at(*id);
    if (tensor->shape() != state.tensors.at(name).shape()) {
      throw FormatError("the momentum of " + name + " has another shape than the parameter");
    }
    velocities[std::string(kVelocityPrefix) + name] = tensor->contiguous();
  }
  state.tensors.merge(velocities);
  state.optimizer = settings;
}

}  // namespace

bool has_torch_state(const PickleValue& root) { return !find_torch_networks(root).empty(); }

StateDict torch_state(const PickleValue& root, const std::string& entry) {
  const std::vector<TorchNetwork> found = find_torch_networks(root);
  if (found.empty()) {
    throw FormatError(message("holds ", root.kind(),
                              " without the state dictionary of an MSDNet in it: no tensor is "
                              "called blocks.0.0.layers.0. and so on"));
  }
  std::vector<NetworkPlace> places;
  for (const TorchNetwork& network : found) places.push_back(network.place);
  StateDict state;
  const NetworkPlace& place = choose_network(places, entry, state.notes);
  const auto at = static_cast<std::size_t>(&place - places.data());
  std::vector<std::string> parameters, others;
  for (const auto& [name, value] : *found[at].entries) {
    const auto* tensor = value->as<Tensor>();
    const bool prefixed = name.starts_with(place.prefix);
    const std::string own = prefixed ? name.substr(place.prefix.size()) : std::string();
    const bool needed = prefixed && is_network_name(own);
    if (tensor != nullptr) {
      state.tensors[name] = tensor->contiguous();
      if (needed && !is_buffer(own)) parameters.push_back(own);
    } else if (needed) {
      throw FormatError(message("the state dictionary holds ", value->kind(), " under ",
                                printable(name),
                                ", which is read as no weight; save it as a "
                                "tensor of float32, such as with .float()"));
    } else {
      others.push_back(name);
    }
  }
  std::set<std::string> prefixes;  // of all networks in this dictionary
  for (const TorchNetwork& network : found) {
    if (network.place.path == place.path) prefixes.insert(network.place.prefix);
  }
  take_network(state, place.prefix, prefixes, std::move(others));
  if (const PickleValue* text = root.find(kMetadataKey); text && text->as<std::string>()) {
    state.metadata = *text->as<std::string>();
  }
  const PickleValue* optimizer = nullptr;
  for (const char* name : {"optimizer", "optimizer_state_dict"}) {
    optimizer = root.find(name);
    if (optimizer == nullptr) continue;
    try {
      read_optimizer(*optimizer, parameters, state);
    } catch (const FormatError& error) {
      state.optimizer_problem = error.what();
    }
    break;
  }
  state.beside = values_beside(root, place.path, optimizer);
  return state;
}

TorchObject torch_checkpoint(const StateDict& state, bool module_prefix) {
  using Object = TorchObject;
  std::vector<std::string> names, parameters;
  bool has_velocities = false;
  for (const auto& [name, tensor] : state.tensors) {
    if (name.starts_with(kVelocityPrefix)) {
      has_velocities = true;
    } else {
      names.push_back(name);
    }
  }
  std::sort(names.begin(), names.end(), torch_order);
  std::vector<std::pair<Object, Object>> tensors;
  for (const std::string& name : names) {
    tensors.emplace_back(Object::text(module_prefix ? "module." + name : name),
                         Object::tensor(state.tensors.at(name)));
    if (!is_buffer(name)) parameters.push_back(name);
  }
  std::vector<std::pair<Object, Object>> file;
  file.emplace_back(Object::text("state_dict"), Object::dict(std::move(tensors), /*ordered=*/true));
  if (has_velocities && state.optimizer) {
    std::vector<std::pair<Object, Object>> buffers;
    std::vector<Object> ids;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      ids.push_back(Object::integer(static_cast<std::int64_t>(i)));
      const auto found = state.tensors.find(std::string(kVelocityPrefix) + parameters[i]);
      if (found == state.tensors.end()) continue;
      buffers.emplace_back(
          ids.back(),
          Object::dict({{Object::text("momentum_buffer"), Object::tensor(found->second)}}));
    }
    const OptimizerSettings& s = *state.optimizer;
    Object group = Object::dict({{Object::text("lr"), Object::real(s.lr)},
                                 {Object::text("momentum"), Object::real(s.momentum)},
                                 {Object::text("dampening"), Object::real(s.dampening)},
                                 {Object::text("weight_decay"), Object::real(s.weight_decay)},
                                 {Object::text("nesterov"), Object::boolean(s.nesterov)},
                                 {Object::text("params"), Object::list(std::move(ids))}});
    file.emplace_back(Object::text("optimizer"),
                      Object::dict({{Object::text("state"), Object::dict(std::move(buffers))},
                                    {Object::text("param_groups"), Object::list({group})}}));
  }
  if (state.metadata) {
    file.emplace_back(Object::text(kMetadataKey), Object::text(*state.metadata));
  }
  return Object::dict(std::move(file));
}

}  // namespace msd
