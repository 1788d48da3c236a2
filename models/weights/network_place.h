// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace msd {

/// What stands before the names of an MSDNet's tensors: "" for "blocks.0.0.layers.0.net.0.weight",
/// "module." for DataParallel's names, others for other wrappers. Nothing where a name does not
/// show it.
std::optional<std::string> network_prefix(std::string_view name);

/// Whether some MSDNet has a tensor of this name.
bool is_network_name(std::string_view name);

/// A network in a file: the path to its state dictionary, such as "state_dict" (empty where that is
/// the file), and the prefix of its names in it.
struct NetworkPlace {
  std::string path, prefix;

  /// Both, joined, as --entry takes it: "state_dict.ema_model".
  std::string label() const;
};

/// The one of `places`, at least one, that counts. `entry`: its label or path. Where that is empty
/// and there are several, it is the only one whose label has none but usual words (state_dict,
/// model, module, ...); of the paths state_dict, model_state_dict, model and net the first. `notes`
/// then says which was taken. Throws FormatError naming them where none or more than one is left.
const NetworkPlace& choose_network(const std::vector<NetworkPlace>& places,
                                   const std::string& entry, std::vector<std::string>& notes);

/// Names in a line, those that end alike together: "n_averaged, *.total_ops (141)"; of many the
/// first.
std::string names_text(const std::vector<std::string>& names);

}  // namespace msd
