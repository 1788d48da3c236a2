// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/files/pickle.h"
#include "models/weights/network_place.h"

namespace msd {

/// Values by name, in the file's order.
using NamedValues = std::vector<std::pair<std::string, const PickleValue*>>;

/// A network in what torch.save() wrote, with all that its state dictionary holds.
struct TorchNetwork {
  NetworkPlace place;
  std::shared_ptr<const NamedValues> entries;
};

/// Every MSDNet below `root`: in state dictionaries and whole models, at most some levels deep.
std::vector<TorchNetwork> find_torch_networks(const PickleValue& root);

/// Whether there are tensors by name, or a whole model, as weights of any network are.
bool holds_weights(const PickleValue& root);

/// What lies beside the state dictionary at `path` and the optimiser: the root's other entries, and
/// the objects of other classes in them, of many the first; each where it is and what it is.
std::vector<std::pair<std::string, std::string>> values_beside(const PickleValue& root,
                                                               const std::string& path,
                                                               const PickleValue* optimizer);

}  // namespace msd
