// SPDX-License-Identifier: MIT
#include "apps/convert/values.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>
#include <set>

#include "engine/files/json_text.h"
#include "engine/files/pickle_objects.h"
#include "kernels/check.h"

namespace msd {
namespace {

using Json = nlohmann::ordered_json;
using Dict = PickleValue::Dict;
using List = PickleValue::List;
using Object = PickleValue::Object;

constexpr int kDeepest = 100;
constexpr std::int64_t kMostValues = 4'000'000;

std::string key_text(const PickleValue& key) {
  if (const auto* text = key.as<std::string>()) return *text;
  if (const auto* integer = key.as<std::int64_t>()) return std::to_string(*integer);
  if (const auto* real = key.as<double>()) return message(*real);
  if (const auto* flag = key.as<bool>()) return *flag ? "True" : "False";
  const auto* tuple = key.as<List>();
  if (tuple == nullptr) return key.kind();
  std::string text;
  for (const PickleValue* item : tuple->items) {
    const auto* part = item->as<std::string>();
    const auto* number = item->as<std::int64_t>();
    text += text.empty() ? "" : ", ";
    text += part != nullptr     ? printable(*part)
            : number != nullptr ? std::to_string(*number)
                                : item->kind();
  }
  return "(" + printable(text) + ")";
}

bool is_integer(DType dtype) {
  return dtype == DType::i64 || dtype == DType::i32 || dtype == DType::u8;
}

// Counts what is made of a tree: a value that is shared again and again would make any number.
class Visit {
 public:
  void enter(int depth) {
    if (depth > kDeepest) throw FormatError("is nested too deep, or within itself");
    add(1);
  }
  /// Whether an object is met for the first time: they may hold each other.
  bool first(const PickleValue& object) { return seen_.insert(&object).second; }
  void add(std::int64_t values) {
    if ((left_ -= values) < 0) throw FormatError("has too many values for JSON; use .safetensors");
  }

 private:
  std::int64_t left_ = kMostValues;
  std::set<const PickleValue*> seen_;
};

Json elements(const Tensor& tensor, std::size_t axis, std::int64_t& at) {
  if (axis == tensor.shape().size()) {
    const double value = load_element(tensor.data(), tensor.dtype(), at);
    if (tensor.dtype() == DType::i64) return static_cast<const std::int64_t*>(tensor.data())[at++];
    ++at;
    return is_integer(tensor.dtype()) ? Json(static_cast<std::int64_t>(value)) : Json(value);
  }
  Json list = Json::array();
  for (std::int64_t i = 0; i < tensor.shape()[axis]; ++i) {
    list.push_back(elements(tensor, axis + 1, at));
  }
  return list;
}

Json tensor_json(const Tensor& tensor, Visit& visit) {
  std::int64_t lists = 1;
  for (const std::int64_t d : tensor.shape()) {
    lists *= std::max<std::int64_t>(1, d);
    visit.add(lists);
  }
  std::int64_t at = 0;
  return {{"dtype", name(tensor.dtype())},
          {"shape", tensor.shape()},
          {"values", elements(tensor.contiguous(), 0, at)}};
}

Json to_json(const PickleValue& value, int depth, Visit& visit) {
  visit.enter(depth);
  if (const auto* list = value.as<List>()) {
    Json json = Json::array();
    for (const PickleValue* item : list->items) json.push_back(to_json(*item, depth + 1, visit));
    return json;
  }
  const auto dict_json = [&](const Dict& dict) {
    Json json = Json::object();
    for (const auto& [key, item] : dict.items) {
      json[key_text(*key)] = to_json(*item, depth + 1, visit);
    }
    return json;
  };
  if (const auto* dict = value.as<Dict>()) return dict_json(*dict);
  if (const auto* object = value.as<Object>()) {
    Json json = {{"object", value.kind()}};
    if (!visit.first(value)) return json;
    if (!object->items.items.empty()) json["items"] = dict_json(object->items);
    if (object->state != nullptr) json["state"] = to_json(*object->state, depth + 1, visit);
    return json;
  }
  if (const auto* tensor = value.as<Tensor>()) return tensor_json(*tensor, visit);
  if (const auto* integer = value.as<std::int64_t>()) return *integer;
  if (const auto* real = value.as<double>()) return *real;
  if (const auto* flag = value.as<bool>()) return *flag;
  if (const auto* text = value.as<std::string>()) return *text;
  if (value.as<PickleValue::None>() != nullptr) return nullptr;
  return Json{{"object", value.kind()}};  // bytes, a class, a storage
}

struct Collected {
  std::map<std::string, Tensor> tensors;
  std::vector<std::string> left_out;
};

void collect(const PickleValue& value, const std::string& path, int depth, Visit& visit,
             Collected& out) {
  visit.enter(depth);
  const auto below = [&](const PickleValue& item, const std::string& part) {
    collect(item, path.empty() ? part : path + "." + part, depth + 1, visit, out);
  };
  const std::string name = path.empty() ? "value" : path;
  if (const auto* tensor = value.as<Tensor>()) {
    if (!out.tensors.emplace(name, tensor->contiguous()).second) {
      throw FormatError("has two tensors called " + printable(name));
    }
  } else if (const auto* list = value.as<List>()) {
    for (std::size_t i = 0; i < list->items.size(); ++i) below(*list->items[i], std::to_string(i));
  } else if (const auto* dict = value.as<Dict>()) {
    for (const auto& [key, item] : dict->items) below(*item, key_text(*key));
  } else if (is_opaque_tensor(value)) {
    out.left_out.push_back(name);
  } else if (const auto* object = value.as<Object>(); object != nullptr && visit.first(value)) {
    for (const auto& [key, item] : object->items.items) below(*item, key_text(*key));
    if (object->state != nullptr) collect(*object->state, path, depth + 1, visit, out);
  }
}

// "i64 [50000], a permutation of 0 to 49999"
std::string about(const Tensor& tensor) {
  const std::string text = message(name(tensor.dtype()), " ", shape_text(tensor.shape()));
  if (tensor.dim() != 1 || tensor.dtype() != DType::i64 || tensor.elems() < 2) return text;
  const Tensor packed = tensor.contiguous();
  std::vector<bool> seen(static_cast<std::size_t>(packed.elems()), false);
  for (const std::int64_t index : packed.span<std::int64_t>()) {
    if (index < 0 || index >= packed.elems() || seen[static_cast<std::size_t>(index)]) return text;
    seen[static_cast<std::size_t>(index)] = true;
  }
  return text + message(", a permutation of 0 to ", packed.elems() - 1);
}

bool is_leaf(const PickleValue& value) {
  return value.as<List>() == nullptr && value.as<Dict>() == nullptr &&
         value.as<Tensor>() == nullptr && value.as<Object>() == nullptr;
}

void print(std::ostream& out, const PickleValue& value, const std::string& path, int depth,
           Visit& visit) {
  constexpr std::int64_t kMostElements = 64;  // that are worth a line
  visit.enter(depth);
  const std::string label = path.empty() ? "value" : printable(path);
  const auto below = [&](const PickleValue& item, const std::string& part) {
    print(out, item, path.empty() ? part : path + "." + part, depth + 1, visit);
  };
  if (const auto* tensor = value.as<Tensor>()) {
    out << label << ": tensor " << about(*tensor);
    if (tensor->elems() <= kMostElements) out << ": " << tensor_json(*tensor, visit)["values"];
    out << '\n';
  } else if (const auto* dict = value.as<Dict>()) {
    out << label << ": dictionary of " << dict->items.size() << '\n';
    for (const auto& [key, item] : dict->items) below(*item, key_text(*key));
  } else if (const auto* list = value.as<List>()) {
    const bool flat = std::all_of(list->items.begin(), list->items.end(),
                                  [](const PickleValue* item) { return is_leaf(*item); });
    out << label << ": list of " << list->items.size();
    if (flat) out << ": " << printed_json(to_json(value, depth, visit));
    out << '\n';
    if (flat) return;
    for (std::size_t i = 0; i < list->items.size(); ++i) below(*list->items[i], std::to_string(i));
  } else if (const auto* object = value.as<Object>()) {
    const bool first = visit.first(value);
    out << label << ": " << value.kind() << (first ? "" : ", as above") << '\n';
    if (!first) return;
    for (const auto& [key, item] : object->items.items) below(*item, key_text(*key));
    const auto* state = object->state == nullptr ? nullptr : object->state->as<Dict>();
    if (state == nullptr) return;
    for (const auto& [key, item] : state->items) below(*item, key_text(*key));
  } else {
    out << label << ": " << printed_json(to_json(value, depth, visit)) << '\n';
  }
}

void print(std::ostream& out, const Torch7Value& value, const std::string& path, int depth,
           Visit& visit) {
  visit.enter(depth);
  out << (path.empty() ? "value" : printable(path)) << ": " << value.kind();
  if (const Tensor* tensor = value.tensor()) {
    out << ' ' << about(*tensor);
  } else if (const auto* number = value.as<double>()) {
    out << ' ' << *number;
  } else if (const auto* text = value.as<std::string>()) {
    out << " \"" << printable(*text) << '"';
  }
  out << '\n';
  const auto* table = value.as<Torch7Value::Table>();
  if (table == nullptr) return;
  for (const auto& [key, item] : table->items) {
    const auto* text = key->as<std::string>();
    const auto* number = key->as<double>();
    const std::string part = text != nullptr ? *text : number != nullptr ? message(*number) : "?";
    print(out, *item, path.empty() ? part : path + "." + part, depth + 1, visit);
  }
}

}  // namespace

std::string values_text(const PickleValue& root) {
  Visit visit;
  return printed_json(to_json(root, 0, visit));
}

void print_values(std::ostream& out, const PickleValue& root) {
  Visit visit;
  print(out, root, "", 0, visit);
}

void print_values(std::ostream& out, const Torch7Value& root) {
  Visit visit;
  print(out, root, "", 0, visit);
}

std::map<std::string, Tensor> values_tensors(const PickleValue& root,
                                             std::vector<std::string>& left_out) {
  Visit visit;
  Collected out;
  collect(root, "", 0, visit, out);
  left_out = std::move(out.left_out);
  return std::move(out.tensors);
}

}  // namespace msd
