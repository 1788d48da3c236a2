// SPDX-License-Identifier: MIT
#include "models/weights/network_place.h"

#include <algorithm>
#include <map>

#include "kernels/check.h"

namespace msd {
namespace {

constexpr std::string_view kFirstLayer = "blocks.0.0.layers.0.";
// Of entries with a network and of what wraps it, the preferred ones first.
constexpr std::string_view kUsualWords[] = {"state_dict", "model_state_dict", "model",
                                            "net",        "network",          "weights",
                                            "params",     "module",           "_orig_mod"};

std::vector<std::string_view> parts_of(std::string_view name) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t dot = name.find('.');
    parts.push_back(name.substr(0, dot));
    if (dot == name.npos) return parts;
    name.remove_prefix(dot + 1);
  }
}

// '#' stands for a number, '*' for what a module keeps under one.
bool fits(std::string_view part, std::string_view pattern) {
  if (pattern == "#") {
    return !part.empty() && part.find_first_not_of("0123456789") == part.npos;
  }
  if (pattern != "*") return part == pattern;
  return part == "weight" || part == "bias" || part == "running_mean" || part == "running_var" ||
         part == "num_batches_tracked";
}

// How soon a place is taken, by the first word of its path; nothing where its path and prefix have
// other words than the usual ones.
std::optional<std::ptrdiff_t> rank_of(const NetworkPlace& place) {
  std::ptrdiff_t rank = 0;
  const auto usual = [](std::string_view part) {
    return std::find(std::begin(kUsualWords), std::end(kUsualWords), part);
  };
  const std::string label = place.label();
  if (label.empty()) return rank;
  for (const std::string_view part : parts_of(label)) {
    if (usual(part) == std::end(kUsualWords)) return std::nullopt;
  }
  if (!place.path.empty()) rank = usual(parts_of(place.path)[0]) - std::begin(kUsualWords);
  return rank;
}

std::string list_of(const std::vector<const NetworkPlace*>& places) {
  constexpr std::size_t kMost = 8;
  std::string text;
  for (std::size_t i = 0; i < std::min(kMost, places.size()); ++i) {
    const std::string label = places[i]->label();
    text += (i == 0 ? "" : ", ") + (label.empty() ? "the names without prefix" : printable(label));
  }
  if (places.size() > kMost) text += message(" and ", places.size() - kMost, " more");
  return text;
}

}  // namespace

std::optional<std::string> network_prefix(std::string_view name) {
  const std::size_t at = name.find(kFirstLayer);
  if (at == name.npos) return std::nullopt;
  return std::string(name.substr(0, at));
}

bool is_network_name(std::string_view name) {
  constexpr std::string_view kPatterns[] = {"blocks.#.#.layers.#.#.*",
                                            "blocks.#.#.layers.#.net.#.*",
                                            "blocks.#.#.layers.#.conv_down.net.#.*",
                                            "blocks.#.#.layers.#.conv_normal.net.#.*",
                                            "blocks.#.#.m.#.net.#.*",
                                            "classifier.#.m.#.net.#.*",
                                            "classifier.#.linear.*"};
  const std::vector<std::string_view> parts = parts_of(name);
  return std::any_of(std::begin(kPatterns), std::end(kPatterns), [&](std::string_view pattern) {
    const std::vector<std::string_view> wanted = parts_of(pattern);
    return std::equal(parts.begin(), parts.end(), wanted.begin(), wanted.end(), fits);
  });
}

std::string NetworkPlace::label() const {
  std::string_view wrapper = prefix;
  if (wrapper.ends_with('.')) wrapper.remove_suffix(1);
  return message(path, path.empty() || wrapper.empty() ? "" : ".", wrapper);
}

const NetworkPlace& choose_network(const std::vector<NetworkPlace>& places,
                                   const std::string& entry, std::vector<std::string>& notes) {
  std::vector<const NetworkPlace*> all, left;
  for (const NetworkPlace& place : places) all.push_back(&place);
  if (!entry.empty()) {
    for (const bool by_path : {false, true}) {
      if (!left.empty()) break;
      std::copy_if(all.begin(), all.end(), std::back_inserter(left), [&](const auto* place) {
        return (by_path ? place->path : place->label()) == entry;
      });
    }
    if (left.size() == 1) return *left[0];
    throw FormatError(
        message("holds no one network called ", printable(entry), "; it holds ", list_of(all)));
  }
  if (all.size() == 1) return *all[0];
  std::optional<std::ptrdiff_t> best;
  for (const NetworkPlace* place : all) {
    const auto rank = rank_of(*place);
    if (!rank || (best && *rank > *best)) continue;
    if (best && *rank < *best) left.clear();
    best = rank;
    left.push_back(place);
  }
  if (left.size() != 1) {
    throw FormatError(message("holds ", all.size(), " networks, ", list_of(all),
                              "; write the one that counts to a file of its own with msd-convert "
                              "--entry NAME"));
  }
  notes.push_back(message("of the ", all.size(), " networks ", list_of(all), ", ", list_of(left),
                          " is taken (msd-convert --entry takes another)"));
  return *left[0];
}

std::string names_text(const std::vector<std::string>& names) {
  constexpr std::size_t kMostNames = 8, kAlike = 4;
  std::map<std::string_view, std::size_t> ends;
  const auto end_of = [](std::string_view name) { return name.substr(name.rfind('.') + 1); };
  for (const std::string& name : names) ++ends[end_of(name)];
  std::string text;
  std::size_t shown = 0, told = 0;
  for (const std::string& name : names) {
    std::size_t& alike = ends[end_of(name)];
    if (alike == 0) continue;  // told of
    if (++shown > kMostNames) return text + message(" and ", names.size() - told, " more");
    const bool group = alike >= kAlike;
    text += (shown == 1 ? "" : ", ") + printable(group ? "*." + std::string(end_of(name)) : name);
    if (group) text += message(" (", alike, ")");
    told += group ? alike : 1;
    if (group) alike = 0;
  }
  return text;
}

}  // namespace msd
