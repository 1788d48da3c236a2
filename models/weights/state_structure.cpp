// SPDX-License-Identifier: MIT
#include "models/weights/state_structure.h"

#include <algorithm>

#include "engine/tensor.h"
#include "kernels/check.h"

namespace msd {
namespace {

constexpr std::int64_t kLargestDimension = std::int64_t{1} << 31;

// How many of prefix + "0.", prefix + "1.", ... are there.
std::int64_t count_below(const StateShapes& shapes, const std::string& prefix) {
  std::int64_t count = 0;
  while (any_below(shapes, prefix + std::to_string(count) + ".")) ++count;
  return count;
}

// Appends the layers of a block; each may be followed by one transition.
void read_block(const StateShapes& shapes, std::int64_t block, StateStructure& structure) {
  const std::string blocks = "blocks." + std::to_string(block) + ".";
  std::int64_t module = block == 0 ? 1 : 0;  // module 0 of block 0 is the stem
  std::int64_t layers = 0;
  for (;; ++module) {
    const std::string at = blocks + std::to_string(module) + ".";
    if (any_below(shapes, at + "layers.")) {
      const std::int64_t scales = count_below(shapes, at + "layers.");
      if (scales == 0) throw ConfigError(message(at, "layers.0 is missing", kNotAnMsdnet));
      structure.layers.push_back({at, scales, ""});
      ++layers;
    } else if (any_below(shapes, at + "m.") && layers > 0 &&
               structure.layers.back().transition.empty()) {
      structure.layers.back().transition = at;
    } else {
      break;
    }
  }
  if (layers == 0) {
    throw ConfigError(message(blocks, block == 0 ? 1 : 0, ".layers.0 is missing", kNotAnMsdnet));
  }
  structure.block_layers.push_back(layers);
}

}  // namespace

std::string StateLayer::branch(std::int64_t j, std::string_view which) const {
  return name + "layers." + std::to_string(j) + "." + std::string(which) + ".net.";
}

bool any_below(const StateShapes& shapes, const std::string& prefix) {
  const auto found = shapes.lower_bound(prefix);
  return found != shapes.end() && found->first.starts_with(prefix);
}

const std::vector<std::int64_t>& shape_of(const StateShapes& shapes, const std::string& name,
                                          std::size_t rank) {
  const auto found = shapes.find(name);
  if (found == shapes.end()) {
    throw ConfigError(message(name, " is missing", kNotAnMsdnet));
  }
  const std::vector<std::int64_t>& shape = found->second;
  const auto possible = [](std::int64_t d) { return d >= 1 && d <= kLargestDimension; };
  if (shape.size() != rank || !std::all_of(shape.begin(), shape.end(), possible)) {
    throw ConfigError(message(name, " is ", shape_text(shape), ", but needs ", rank,
                              " dimensions, none of them 0 or absurdly large", kNotAnMsdnet));
  }
  return shape;
}

const std::vector<std::int64_t>& conv_shape(const StateShapes& shapes, const std::string& net,
                                            int index) {
  const std::string conv = net + std::to_string(index) + ".weight";
  const std::string norm = net + std::to_string(index + 1) + ".weight";
  const std::vector<std::int64_t>& shape = shape_of(shapes, conv, 4);
  const std::vector<std::int64_t>& channels = shape_of(shapes, norm, 1);
  if (shape[0] != channels[0]) {
    throw ConfigError(message(conv, " is ", shape_text(shape), ", but its batch norm's ", norm,
                              " is ", shape_text(channels), kNotAnMsdnet));
  }
  return shape;
}

StateStructure read_structure(const StateShapes& shapes) {
  const std::string cifar = "blocks.0.0.layers.0.net.0.weight";
  const std::string imagenet = "blocks.0.0.layers.0.0.weight";
  if (!shapes.contains(cifar) && !shapes.contains(imagenet)) {
    throw ConfigError("not an MSDNet's state dictionary: it has neither " + cifar + " nor " +
                      imagenet + "; " +
                      (shapes.empty() ? std::string("it is empty")
                                      : "its first name is " + printable(shapes.begin()->first)));
  }
  StateStructure structure;
  structure.input_kind = shapes.contains(cifar) ? InputKind::cifar : InputKind::imagenet;
  structure.scales = count_below(shapes, "blocks.0.0.layers.");
  for (std::int64_t block = 0;; ++block) {
    const std::string number = std::to_string(block) + ".";
    if (!any_below(shapes, "blocks." + number) && !any_below(shapes, "classifier." + number)) break;
    read_block(shapes, block, structure);
  }
  return structure;
}

}  // namespace msd
