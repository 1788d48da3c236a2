// SPDX-License-Identifier: MIT
#include "models/weights/torch7_state.h"

#include <set>
#include <utility>
#include <vector>

#include "models/weights/state_dict.h"
#include "models/weights/torch7_layers.h"
#include "models/weights/torch7_module.h"

namespace msd {
namespace {

using Modules = std::vector<Torch7Module>;

// Every network below `value`; each value is looked at once.
void find_networks(const Torch7Value& value, int depth, std::set<const Torch7Value*>& seen,
                   std::vector<const Torch7Value*>& found) {
  constexpr int kDeepest = 8;
  if (depth > kDeepest || !seen.insert(&value).second) return;
  if (const auto* table = value.as<Torch7Value::Table>()) {
    for (const auto& [key, item] : table->items) find_networks(*item, depth + 1, seen, found);
  }
  if (value.as<Torch7Value::Object>() == nullptr) return;
  const Torch7Module module(value);
  if (module.is("JointTrainModule")) {
    found.push_back(&value);
    return;
  }
  const Torch7Value* table = value.find("modules");
  if (table == nullptr) return;
  for (const Torch7Value* child : table->sequence()) {
    find_networks(*child, depth + 1, seen, found);
    if (module.is("DataParallelTable")) return;  // the others are copies for other GPUs
  }
}

std::vector<const Torch7Value*> find_networks(const Torch7Value& root) {
  std::set<const Torch7Value*> seen;
  std::vector<const Torch7Value*> found;
  find_networks(root, 0, seen, found);
  return found;
}

const Torch7Value& find_network(const Torch7Value& root) {
  const std::vector<const Torch7Value*> found = find_networks(root);
  if (found.size() == 1) return *found[0];
  if (found.empty()) {
    throw FormatError("holds " + root.kind() + " without an MSDNet: no nn.JointTrainModule in it");
  }
  throw FormatError(message("holds ", found.size(), " networks; save the one that counts alone"));
}

// Torch7's containers count as PyTorch's do, from 1; ReLUs and joins have numbers and no tensors.
class Walk {
 public:
  std::map<std::string, Tensor>& network(const Torch7Module& joint) {
    const Modules modules = joint.modules();
    if (modules.size() % 2 != 0) {
      joint.fail("has ", modules.size(), " modules, not as many classifiers as blocks");
    }
    const std::size_t blocks = modules.size() / 2;
    for (std::size_t b = 0; b < blocks; ++b) {
      block(modules[b], b);
      classifier(modules[blocks + b], "classifier." + std::to_string(b) + ".");
    }
    return layers_.tensors();
  }

 private:
  // Convolution, batch norm and ReLU from number `first` on.
  void unit(const Modules& modules, std::size_t first, Torch7Layers::Window window,
            const std::string& net, bool keep_bias = false) {
    layers_.convolution(modules[first], modules[first + 1], window, net + std::to_string(first),
                        net + std::to_string(first + 1), keep_bias);
    modules[first + 2].require("ReLU");
  }

  void block(const Torch7Module& block, std::size_t b) {
    block.require("Sequential");
    const Modules modules = block.modules();
    for (std::size_t m = 0; m < modules.size(); ++m) {
      const std::string at = "blocks." + std::to_string(b) + "." + std::to_string(m) + ".";
      if (b == 0 && m == 0) {
        modules[m].require("MSDNet_Layer_first");
        stem(modules[m], at + "layers.");
      } else if (modules[m].is("ParallelTable")) {
        transition(modules[m], at + "m.");
      } else {
        modules[m].require("MSDNet_Layer");
        layer(modules[m], at + "layers.");
      }
    }
  }

  void stem(const Torch7Module& stem, const std::string& at) {
    const Modules scales = stem.modules();
    for (std::size_t j = 0; j < scales.size(); ++j) {
      scales[j].require("Sequential");
      const std::string scale = at + std::to_string(j) + ".";
      if (j == 0 && scales[j].modules().size() == 4) {  // ImageNet's
        const Modules modules = scales[j].modules();
        unit(modules, 0, {7, 2}, scale, /*keep_bias=*/true);
        max_pool(modules[3]);
      } else {
        unit(scales[j].modules(3), 0, {3, j == 0 ? 1 : 2}, scale + "net.");
      }
    }
  }

  static void max_pool(const Torch7Module& pool) {
    pool.require("SpatialMaxPooling");
    pool.require_window(3, 2, 1);
    const Torch7Value* ceil = pool.field("ceil_mode");
    if (ceil != nullptr && ceil->as<bool>() != nullptr && *ceil->as<bool>()) {
      pool.fail("rounds its size up, which an MSDNet does not");
    }
  }

  void layer(const Torch7Module& layer, const std::string& at) {
    const Modules scales = layer.modules();
    for (std::size_t j = 0; j < scales.size(); ++j) {
      scales[j].require("Sequential");
      const Modules join = scales[j].modules(2);
      join[0].require("ParallelTable");
      join[1].require("JoinTable");
      join[1].require_number("dimension", 2.0, 2.0);
      const Modules branches = join[0].modules();  // the old features, [from finer,] from own
      if (branches.size() != 2) join[0].modules(3);
      branches[0].require("Identity");
      const std::string scale = at + std::to_string(j) + ".";
      if (branches.size() == 3) branch(branches[1], 2, scale + "conv_down.net.");
      branch(branches.back(), 1, scale + "conv_normal.net.");
    }
  }

  void branch(const Torch7Module& branch, std::int64_t stride, const std::string& net) {
    branch.require("Sequential");
    const bool bottleneck = branch.modules().size() != 3;
    const Modules modules = branch.modules(bottleneck ? 6 : 3);
    if (bottleneck) unit(modules, 0, {1, 1}, net);
    unit(modules, bottleneck ? 3 : 0, {3, stride}, net);
  }

  void transition(const Torch7Module& transition, const std::string& at) {
    const Modules scales = transition.modules();
    for (std::size_t j = 0; j < scales.size(); ++j) {
      scales[j].require("Sequential");
      unit(scales[j].modules(3), 0, {1, 1}, at + std::to_string(j) + ".net.");
    }
  }

  void classifier(const Torch7Module& classifier, const std::string& at) {
    classifier.require("Sequential");
    const Modules modules = classifier.modules(9);
    // PyTorch's has a container for each convolution.
    const auto from = modules.begin();
    unit(Modules(from, from + 3), 0, {3, 2}, at + "m.0.net.");
    unit(Modules(from + 3, from + 6), 0, {3, 2}, at + "m.1.net.");
    modules[6].require("SpatialAveragePooling");
    for (const char* name : {"kW", "kH"}) modules[6].require_number(name, 2.0, 2.0);
    for (const char* name : {"padW", "padH"}) modules[6].require_number(name, 0.0, 0.0);
    if (!modules[7].is("View")) modules[7].require("Reshape");
    layers_.linear(modules[8], at + "linear");
  }

  Torch7Layers layers_;
};

}  // namespace

bool has_torch7_network(const Torch7Value& root) { return !find_networks(root).empty(); }

bool has_torch7_module(const Torch7Value& root) {
  std::set<const Torch7Value*> seen;
  std::vector<const Torch7Value*> left = {&root};
  while (!left.empty()) {
    const Torch7Value& value = *left.back();
    left.pop_back();
    if (!seen.insert(&value).second) continue;
    const std::string_view kind = value.class_name();
    if (kind.starts_with("nn.") || kind.starts_with("cudnn.")) return true;
    const auto* table = value.as<Torch7Value::Table>();
    if (table == nullptr) continue;
    for (const auto& [key, item] : table->items) left.push_back(item);
  }
  return false;
}

std::map<std::string, Tensor> torch7_state(const Torch7Value& root) {
  Walk walk;
  StateDict state;
  state.tensors = std::move(walk.network(Torch7Module(find_network(root))));
  normalize(state);
  return std::move(state.tensors);
}

}  // namespace msd
