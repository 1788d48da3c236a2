// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "engine/formats/byte_reader.h"
#include "engine/tensor.h"

namespace msd {

/// A Python object as far as files of weights have them. References are to values of the same
/// PickleArena and may form cycles.
struct PickleValue {
  struct None {};
  struct Bytes {
    std::string bytes;
  };
  struct List {
    std::vector<const PickleValue*> items;
    bool is_tuple = false;
  };
  struct Dict {  // also an OrderedDict
    std::vector<std::pair<const PickleValue*, const PickleValue*>> items;
  };
  struct Global {  // a class or function that the host allows, never called here
    std::string name;
  };
  struct Storage {  // memory of tensors
    std::shared_ptr<Buffer> buffer;
    DType dtype = DType::f32;
  };

  std::variant<None, bool, std::int64_t, double, std::string, Bytes, List, Dict, Global, Storage,
               Tensor>
      value;

  template <typename T>
  const T* as() const {
    return std::get_if<T>(&value);
  }
  /// The value of a dictionary's key; nullptr where there is none, or this is no dictionary.
  const PickleValue* find(std::string_view key) const;
  /// "a list", "a tensor", ...
  std::string_view kind() const;
};

/// Owns values; at most kMostValues, which bounds what a small hostile file can make of itself.
class PickleArena {
 public:
  static constexpr std::size_t kMostValues = 1'000'000;

  template <typename T>
  PickleValue* add(T value) {
    if (values_.size() >= kMostValues) {
      throw FormatError(message("holds more than ", kMostValues, " objects: no file of weights"));
    }
    values_.push_back(PickleValue{std::move(value)});
    return &values_.back();
  }

 private:
  std::deque<PickleValue> values_;
};

/// What a pickle may refer to beyond plain containers and numbers.
class PickleHost {
 public:
  virtual ~PickleHost() = default;
  /// Whether the global "module.name" may be named at all.
  virtual bool allows(const std::string& name) const = 0;
  /// The result of calling an allowed global with these arguments.
  virtual PickleValue* call(const std::string& name, const PickleValue::List& arguments,
                            PickleArena& arena) = 0;
  /// The object that a persistent id stands for.
  virtual PickleValue* persistent(const PickleValue& id, PickleArena& arena) = 0;
};

/// Reads one pickle, protocols 0 to 5 (Python's pickletools.py documents them), off the front of
/// `reader`. Nothing is ever executed: globals that the host does not allow, and opcodes that make
/// other objects, throw FormatError naming them. Values live in `arena`.
const PickleValue* read_pickle(ByteReader& reader, PickleHost& host, PickleArena& arena);

}  // namespace msd
