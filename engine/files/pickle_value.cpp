// SPDX-License-Identifier: MIT
#include "engine/files/pickle.h"

namespace msd {
namespace {

// The arguments of a call where they are few and short, as Python would show them; else nothing.
std::string shown(const PickleValue* arguments) {
  constexpr std::size_t kMostArguments = 4, kMostText = 40;
  const auto* list = arguments == nullptr ? nullptr : arguments->as<PickleValue::List>();
  if (list == nullptr || list->items.empty() || list->items.size() > kMostArguments) return {};
  std::string out;
  for (const PickleValue* item : list->items) {
    out += out.empty() ? "" : ", ";
    if (const auto* text = item->as<std::string>(); text && text->size() <= kMostText) {
      out += "\"" + printable(*text) + "\"";
    } else if (const auto* integer = item->as<std::int64_t>()) {
      out += std::to_string(*integer);
    } else if (const auto* real = item->as<double>()) {
      out += message(*real);
    } else {
      return {};
    }
  }
  return "(" + out + ")";
}

// As Python has it: what is built in without its module.
std::string shown_name(const PickleValue::Global& global) {
  std::string_view name = global.name;
  for (const std::string_view module : {"builtins.", "__builtin__."}) {
    if (name.starts_with(module)) name.remove_prefix(module.size());
  }
  return printable(name);
}

}  // namespace

const PickleValue* PickleValue::find(std::string_view key) const {
  const auto* object = as<Object>();
  const Dict* dict = object == nullptr ? as<Dict>() : &object->items;
  if (dict == nullptr) return nullptr;
  // The last one counts, as in Python.
  for (auto item = dict->items.rbegin(); item != dict->items.rend(); ++item) {
    const auto* text = item->first->as<std::string>();
    if (text != nullptr && *text == key) return item->second;
  }
  return nullptr;
}

std::string PickleValue::kind() const {
  if (const auto* object = as<Object>()) {
    return shown_name(*object->type->as<Global>()) + shown(object->arguments);
  }
  if (const auto* global = as<Global>()) return "the class or function " + shown_name(*global);
  constexpr std::string_view kKinds[] = {"None",     "a boolean", "an integer", "a number",
                                         "text",     "bytes",     "a list",     "a dictionary",
                                         "a global", "an object", "a storage",  "a tensor"};
  return std::string(kKinds[value.index()]);
}

}  // namespace msd
