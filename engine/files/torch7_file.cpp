// SPDX-License-Identifier: MIT
#include "engine/files/torch7_file.h"

#include <algorithm>

#include "engine/files/torch7_reader.h"

namespace msd {

const Torch7Value* Torch7Value::find(std::string_view key) const {
  const auto* object = as<Object>();
  const auto* table = object == nullptr ? as<Table>() : object->state->as<Table>();
  if (table == nullptr) return nullptr;
  // The last one counts, as in Lua.
  for (auto item = table->items.rbegin(); item != table->items.rend(); ++item) {
    const auto* text = item->first->as<std::string>();
    if (text == nullptr || *text != key) continue;
    return item->second->as<Nil>() == nullptr ? item->second : nullptr;
  }
  return nullptr;
}

std::vector<const Torch7Value*> Torch7Value::sequence() const {
  const auto* table = as<Table>();
  if (table == nullptr) return {};
  // Lua saves the keys in any order.
  std::vector<const Torch7Value*> found(table->items.size());
  for (const auto& [key, item] : table->items) {
    const auto* number = key->as<double>();
    if (number == nullptr || !(*number >= 1.0) || *number > static_cast<double>(found.size())) {
      continue;
    }
    const auto index = static_cast<std::size_t>(*number);
    if (static_cast<double>(index) == *number && item->as<Nil>() == nullptr) {
      found[index - 1] = item;
    }
  }
  found.erase(std::find(found.begin(), found.end(), nullptr), found.end());
  return found;
}

const Tensor* Torch7Value::tensor() const {
  const auto* array = as<Array>();
  return array == nullptr ? nullptr : array->tensor.get();
}

std::string_view Torch7Value::class_name() const {
  if (const auto* object = as<Object>()) return object->class_name;
  if (const auto* array = as<Array>()) return array->class_name;
  if (const auto* storage = as<Storage>()) return storage->class_name;
  return {};
}

std::string Torch7Value::kind() const {
  if (const auto* opaque = as<Opaque>()) return std::string(opaque->what);
  if (const std::string_view name = class_name(); !name.empty()) return "a " + printable(name);
  constexpr std::string_view kKinds[] = {"nil", "a boolean", "a number", "text", "a table"};
  return value.index() < std::size(kKinds) ? std::string(kKinds[value.index()]) : "an object";
}

Torch7File::Torch7File(std::span<const std::byte> bytes) {
  root_ = Torch7Reader(bytes, *this).read();
}

bool looks_like_torch7(std::span<const std::byte> bytes) {
  ByteReader reader(bytes);
  const auto integer = [&] { return std::int64_t{reader.value<std::int32_t>()}; };
  const auto left = [&] { return static_cast<std::int64_t>(reader.left()); };
  const auto begins = [&](std::int64_t size, std::string_view text) {
    return size >= static_cast<std::int64_t>(text.size()) && size <= left() &&
           reader.text(text.size()) == text;
  };
  constexpr std::string_view kByteCode = "\x1bL";
  constexpr std::int64_t kLongestName = 256;
  try {
    switch (static_cast<Torch7Tag>(integer())) {
      case Torch7Tag::nil:
        return false;  // nobody saves only that, and many files begin with zeros
      case Torch7Tag::number:
        return left() == sizeof(double);
      case Torch7Tag::text:
        return integer() == left();
      case Torch7Tag::boolean:
        return left() == 4 && (integer() | 1) == 1;
      case Torch7Tag::old_function:
        return begins(integer(), kByteCode);
      case Torch7Tag::legacy_function:
      case Torch7Tag::function:
        return integer() == 1 && begins(integer(), kByteCode);
      case Torch7Tag::table: {
        if (integer() != 1) return false;
        const std::int64_t size = integer();
        if (size <= 0) return size == 0 && left() == 0;
        const std::int64_t tag = integer();  // of the first key
        return size <= (left() + 4) / 8 && tag > 0 && tag <= 8;
      }
      case Torch7Tag::torch: {
        if (integer() != 1) return false;
        const std::int64_t size = integer();
        if (size < 1 || size > std::min(left(), kLongestName)) return false;
        const std::string_view name = reader.text(static_cast<std::uint64_t>(size));
        return std::all_of(name.begin(), name.end(), [](char c) { return c >= ' ' && c <= '~'; });
      }
    }
  } catch (const FormatError&) {  // ends too early
  }
  return false;
}

}  // namespace msd
