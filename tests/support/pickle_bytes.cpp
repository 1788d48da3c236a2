// SPDX-License-Identifier: MIT
#include "tests/support/pickle_bytes.h"

#include <cstdio>

namespace msd::test {

std::string from_hex(std::string_view digits) {
  const auto value = [](char digit) { return digit <= '9' ? digit - '0' : digit - 'a' + 10; };
  std::string bytes;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    bytes += static_cast<char>(value(digits[i]) * 16 + value(digits[i + 1]));
  }
  return bytes;
}

std::string show(const PickleValue& value, int deepest) {
  if (deepest < 0) return "...";
  if (const auto* boolean = value.as<bool>()) return *boolean ? "True" : "False";
  if (const auto* number = value.as<std::int64_t>()) return std::to_string(*number);
  if (const auto* text = value.as<std::string>()) return "'" + *text + "'";
  if (const auto* bytes = value.as<PickleValue::Bytes>())
    return "b'" + std::string(bytes->bytes) + "'";
  if (value.as<PickleValue::None>() != nullptr) return "None";
  if (value.as<Tensor>() != nullptr) return "tensor";
  if (const auto* real = value.as<double>()) {
    char out[32];
    std::snprintf(out, sizeof(out), "%.17g", *real);
    return out;
  }
  std::string out;
  if (const auto* list = value.as<PickleValue::List>()) {
    for (const PickleValue* item : list->items) {
      out += (out.empty() ? "" : ", ") + show(*item, deepest - 1);
    }
    if (!list->is_tuple) return "[" + out + "]";
    return "(" + out + (list->items.size() == 1 ? ",)" : ")");
  }
  if (const auto* dict = value.as<PickleValue::Dict>()) {
    for (const auto& [key, item] : dict->items) {
      out += (out.empty() ? "" : ", ") + show(*key, deepest - 1) + ": " + show(*item, deepest - 1);
    }
    return "{" + out + "}";
  }
  if (const auto* object = value.as<PickleValue::Object>()) {
    if (!object->items.items.empty()) {
      out = show(PickleValue{object->items}, deepest - 1);
    } else if (object->state != nullptr && object->state->as<PickleValue::Dict>() != nullptr) {
      out = show(*object->state, deepest - 1);
    }
    return value.kind() + out;
  }
  return value.kind();
}

namespace {

template <typename T>
std::string raw_value(T value) {
  return raw(std::vector<T>{value});
}

}  // namespace

std::string text(std::string_view value) {
  return "X" + raw_value(static_cast<std::uint32_t>(value.size())) + std::string(value);
}
std::string integer(std::int64_t value) { return "\x8a\x08" + raw_value(value); }
std::string tuple(const std::vector<std::int64_t>& values) {
  std::string out = "(";
  for (const std::int64_t value : values) out += integer(value);
  return out + "t";
}
std::string global(std::string_view module, std::string_view name) {
  return "c" + std::string(module) + "\n" + std::string(name) + "\n";
}
std::string storage(std::string_view type, std::string_view key, std::int64_t elems,
                    std::string_view more, std::string_view location) {
  return "(" + text("storage") + global("torch", type) + text(key) + text(location) +
         integer(elems) + std::string(more) + "tQ";
}
std::string tensor(const std::string& storage, std::int64_t offset,
                   const std::vector<std::int64_t>& shape,
                   const std::vector<std::int64_t>& strides) {
  return global("torch._utils", "_rebuild_tensor_v2") + "(" + storage + integer(offset) +
         tuple(shape) + tuple(strides) + "\x89" + global("collections", "OrderedDict") + ")RtR";
}
std::string list_of(const std::vector<std::string>& items) {
  std::string out = "\x80\x02](";
  for (const std::string& item : items) out += item;
  return out + "e.";
}

std::string zip_of(const Entries& entries) {
  std::vector<ZipEntry> borrowed;
  for (const auto& [name, bytes] : entries) borrowed.push_back({name, as_bytes(bytes)});
  const std::vector<std::byte> file = zip_archive(borrowed);
  return {reinterpret_cast<const char*>(file.data()), file.size()};
}

std::string torch_zip(const std::string& root, const Entries& storages, const Entries& more) {
  Entries all = {{"archive/data.pkl", root}};
  for (const auto& [key, bytes] : storages) all.emplace_back("archive/data/" + key, bytes);
  all.insert(all.end(), more.begin(), more.end());
  return zip_of(all);
}

std::string torch_legacy(const std::string& root, const std::vector<LegacyStorage>& storages,
                         std::int64_t protocol, bool little_endian) {
  const std::string start = "\x80\x02";
  std::string out = from_hex("80028a0a6cfc9c46f9206aa850192e") + start + integer(protocol) + ".";
  out += start + "}" + text("little_endian") + (little_endian ? "\x88" : "\x89") + "s.";
  out += root;
  std::vector<std::string> keys;
  keys.reserve(storages.size());
  for (const LegacyStorage& storage : storages) keys.push_back(text(storage.key));
  out += list_of(keys);
  for (const LegacyStorage& storage : storages) out += raw_value(storage.elems) + storage.bytes;
  return out;
}

}  // namespace msd::test
