// SPDX-License-Identifier: MIT
#include "models/weights/torch_networks.h"

#include <algorithm>
#include <functional>
#include <set>
#include <span>

#include "kernels/check.h"
#include "models/weights/state_dict.h"

namespace msd {
namespace {

using Dict = PickleValue::Dict;
using List = PickleValue::List;
using Object = PickleValue::Object;

constexpr int kDeepest = 8;

// The attributes of an instance of torch.nn.Module; nullptr where it is none.
const PickleValue* module_state(const PickleValue& value) {
  const auto* object = value.as<Object>();
  if (object == nullptr || object->state == nullptr) return nullptr;
  const bool is_module = object->state->find("_modules") && object->state->find("_parameters");
  return is_module ? object->state : nullptr;
}

using Items = std::span<const std::pair<const PickleValue*, const PickleValue*>>;

Items items_of(const PickleValue* value) {
  if (value == nullptr) return {};
  if (const auto* dict = value->as<Dict>()) return dict->items;
  if (const auto* object = value->as<Object>()) return object->items.items;
  return {};
}

// What modules' state_dict() would have. Modules may be shared, and a hostile file's may hold each
// other any number of times: all names together are bounded.
class Flattening {
 public:
  NamedValues of(const PickleValue& attributes) {
    out_.clear();
    add(attributes, "", 0);
    return std::move(out_);
  }

 private:
  void add(const PickleValue& attributes, const std::string& prefix, int depth) {
    constexpr int kDeepestModule = 32;
    if (depth > kDeepestModule) throw FormatError("holds a model whose modules nest too deep");
    pay(prefix.size());
    for (const char* kind : {"_parameters", "_buffers"}) {
      for (const auto& [key, value] : items_of(attributes.find(kind))) {
        const auto* name = key->as<std::string>();
        if (name == nullptr || value->as<PickleValue::None>() != nullptr) continue;
        pay(prefix.size() + name->size());
        out_.emplace_back(prefix + *name, value);
      }
    }
    for (const auto& [key, value] : items_of(attributes.find("_modules"))) {
      const auto* name = key->as<std::string>();
      const PickleValue* below = module_state(*value);
      if (name == nullptr || below == nullptr) continue;
      pay(prefix.size() + name->size());
      add(*below, prefix + *name + ".", depth + 1);
    }
  }
  void pay(std::size_t name_bytes) {
    const std::size_t bytes = name_bytes + sizeof(NamedValues::value_type);
    if (bytes > left_) throw FormatError("holds a model of more names than its modules have");
    left_ -= bytes;
  }

  NamedValues out_;
  std::size_t left_ = std::size_t{16} << 20;
};

bool is_tensor(const PickleValue& value) {
  // Or one of a type that no tensor here has.
  return value.as<Tensor>() != nullptr || value.as<Object>() != nullptr;
}

// The entries that a value has as a state dictionary or a whole model; empty where it is neither.
NamedValues entries_of(const PickleValue& value, Flattening& flattening) {
  if (const PickleValue* attributes = module_state(value)) return flattening.of(*attributes);
  NamedValues entries;
  const Items items = items_of(&value);
  if (std::none_of(items.begin(), items.end(), [](auto& i) { return is_tensor(*i.second); })) {
    return entries;
  }
  for (const auto& [key, item] : items) {
    if (const auto* name = key->as<std::string>()) entries.emplace_back(*name, item);
  }
  return entries;
}

// Keys may be of any length, and a path has many.
std::string below(const std::string& path, const PickleValue& key) {
  constexpr std::size_t kMostOfKey = 100;
  const auto* name = key.as<std::string>();
  const auto* number = key.as<std::int64_t>();
  const std::string part = name != nullptr     ? name->substr(0, kMostOfKey)
                           : number != nullptr ? std::to_string(*number)
                                               : "?";
  return path.empty() ? part : path + "." + part;
}

// Calls `visit` for each container and object below `root`, itself included, once; it says whether
// to go deeper.
using Visit = std::function<bool(const PickleValue&, const std::string& path)>;
void walk(const PickleValue& value, const std::string& path, int depth,
          std::set<const PickleValue*>& seen, const Visit& visit) {
  if (depth > kDeepest || !seen.insert(&value).second || !visit(value, path)) return;
  const auto next = [&](const PickleValue& key, const PickleValue& item) {
    const bool holds = item.as<Dict>() || item.as<List>() || item.as<Object>();
    if (holds) walk(item, below(path, key), depth + 1, seen, visit);
  };
  for (const auto& [key, item] : items_of(&value)) next(*key, *item);
  if (const auto* list = value.as<List>()) {
    for (std::size_t i = 0; i < list->items.size(); ++i) {
      next(PickleValue{static_cast<std::int64_t>(i)}, *list->items[i]);
    }
  }
  if (const auto* object = value.as<Object>()) {
    for (const auto& [key, item] : items_of(object->state)) next(*key, *item);
  }
}

std::string brief(const PickleValue& value) {
  constexpr std::size_t kMostText = 60;
  if (const auto* text = value.as<std::string>(); text != nullptr && text->size() <= kMostText) {
    return "\"" + printable(*text) + "\"";
  }
  if (const auto* integer = value.as<std::int64_t>()) return std::to_string(*integer);
  if (const auto* real = value.as<double>()) return message(*real);
  if (const auto* flag = value.as<bool>()) return *flag ? "true" : "false";
  if (const auto* list = value.as<List>()) return message("a list of ", list->items.size());
  if (const auto* dict = value.as<Dict>()) return message("a dictionary of ", dict->items.size());
  if (const auto* tensor = value.as<Tensor>()) {
    return message("a tensor, ", name(tensor->dtype()), " ", shape_text(tensor->shape()));
  }
  return value.kind();
}

}  // namespace

std::vector<TorchNetwork> find_torch_networks(const PickleValue& root) {
  std::vector<TorchNetwork> found;
  Flattening flattening;
  std::set<const PickleValue*> seen;
  walk(root, "", 0, seen, [&](const PickleValue& value, const std::string& path) {
    const auto entries = std::make_shared<NamedValues>(entries_of(value, flattening));
    std::set<std::string> prefixes;
    for (const auto& [name, item] : *entries) {
      if (!is_tensor(*item)) continue;
      if (auto prefix = network_prefix(name)) prefixes.insert(std::move(*prefix));
    }
    for (const std::string& prefix : prefixes) found.push_back({{path, prefix}, entries});
    return prefixes.empty() && module_state(value) == nullptr;
  });
  return found;
}

bool holds_weights(const PickleValue& root) {
  bool found = false;
  std::set<const PickleValue*> seen;
  walk(root, "", 0, seen, [&](const PickleValue& value, const std::string&) {
    const Items items = items_of(&value);
    found = found || module_state(value) != nullptr ||
            std::any_of(items.begin(), items.end(), [](const auto& item) {
              return item.first->template as<std::string>() && item.second->template as<Tensor>();
            });
    return !found;
  });
  return found;
}

std::vector<std::pair<std::string, std::string>> values_beside(const PickleValue& root,
                                                               const std::string& path,
                                                               const PickleValue* optimizer) {
  constexpr std::size_t kMost = 40;
  std::vector<std::pair<std::string, std::string>> out;
  const auto* dict = root.as<Dict>();
  if (dict == nullptr || path.empty()) return out;
  const std::string taken = path.substr(0, path.find('.'));
  std::set<const PickleValue*> seen;
  for (const auto& [key, value] : dict->items) {
    const std::string name = below("", *key);
    if (name == taken || name == kMetadataKey || value == optimizer) continue;
    if (out.size() >= kMost) break;
    const PickleValue* const entry = value;  // which clang 14 captures
    out.emplace_back(name, brief(*entry));
    walk(*value, name, 1, seen, [&](const PickleValue& item, const std::string& at) {
      if (&item != entry && item.as<Object>() != nullptr && out.size() < kMost) {
        out.emplace_back(at, item.kind());
      }
      return true;
    });
  }
  return out;
}

}  // namespace msd
