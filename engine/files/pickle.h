// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "engine/files/byte_reader.h"
#include "engine/tensor.h"

namespace msd {

/// A Python object as far as files of weights have them; integers beyond 64 bits are text. What
/// nothing here needs is an Object: its class's name and its parts, and nothing of it is ever run.
/// References are to values of the same PickleArena and may form cycles.
struct PickleValue {
  struct None {};
  struct Bytes {
    std::string_view bytes;  // of the pickle, or kept by the arena
  };
  struct List {  // also a set or deque
    std::vector<const PickleValue*> items;
    bool is_tuple = false;
  };
  struct Dict {  // also an OrderedDict, defaultdict or Counter
    std::vector<std::pair<const PickleValue*, const PickleValue*>> items;
  };
  struct Global {  // a class or function that the host allows, never called here
    std::string name;
  };
  struct Object {                            // an instance of any class
    const PickleValue* type = nullptr;       // a Global
    const PickleValue* arguments = nullptr;  // that it was made with, a tuple; or nullptr
    const PickleValue* state = nullptr;      // its attributes, as a rule a Dict; or nullptr
    Dict items;                              // where it is a dictionary too
  };
  struct Storage {  // memory of tensors
    std::shared_ptr<Buffer> buffer;
    std::optional<DType> dtype;  // absent where no tensor here has the type
    std::string_view type;       // "int8"; lives as long as the values
    std::int64_t width = 1;      // bytes of an element
  };

  std::variant<None, bool, std::int64_t, double, std::string, Bytes, List, Dict, Global, Object,
               Storage, Tensor>
      value;

  template <typename T>
  const T* as() const {
    return std::get_if<T>(&value);
  }
  /// The value of a dictionary's key; nullptr where there is none, or this is no dictionary.
  const PickleValue* find(std::string_view key) const;
  /// "a list", "a tensor", ...; of an object its class and what it was made with, where that is
  /// short: torch.device("cuda", 0). For messages.
  std::string kind() const;
};

/// Owns values. Their memory is bounded by the file's size, whatever a hostile pickle makes of it:
/// 9 MB, enough for some thousand tensors, and a quarter of the file; copies of elements apart.
class PickleArena {
 public:
  explicit PickleArena(std::size_t file_bytes = 0)
      : left_(kFirstBytes + file_bytes / 4), copies_left_(file_bytes) {}

  template <typename T>
  PickleValue* add(T value) {
    // A quarter more: what the deque leaves unused of its blocks.
    charge(sizeof(PickleValue) * 5 / 4 + beyond(value));
    values_.push_back(PickleValue{std::move(value)});
    return &values_.back();
  }
  /// Counts memory that is not a value's own when it is added, such as a list's later items.
  void charge(std::size_t bytes) {
    if (bytes > left_) throw FormatError("holds more objects than its size accounts for");
    left_ -= bytes;
  }
  /// Whether a copy of elements may be made, which counts then: all together as much as the file.
  bool charge_copy(std::size_t bytes) {
    if (bytes > copies_left_) return false;
    copies_left_ -= bytes;
    return true;
  }
  /// Text that values borrow.
  std::string_view keep(std::string text) {
    return *std::get_if<std::string>(&add(std::move(text))->value);
  }

 private:
  static constexpr std::size_t kFirstBytes = std::size_t{9} << 20;
  static constexpr std::size_t kBlock = 32;  // of the heap, at least

  // What a value has outside of itself.
  template <typename T>
  static std::size_t beyond(const T& value) {
    if constexpr (std::is_same_v<T, std::string>) {
      return value.size() < sizeof(std::string) / 2 ? 0 : value.size() + kBlock;
    } else if constexpr (std::is_same_v<T, PickleValue::Global>) {
      return beyond(value.name);
    } else if constexpr (std::is_same_v<T, PickleValue::List>) {
      return value.items.size() * sizeof(void*) + kBlock;
    } else if constexpr (std::is_same_v<T, PickleValue::Dict>) {
      return value.items.size() * 2 * sizeof(void*) + kBlock;
    } else if constexpr (std::is_same_v<T, Tensor>) {
      return 2 * (static_cast<std::size_t>(value.dim()) * sizeof(std::int64_t) + kBlock);
    } else if constexpr (std::is_same_v<T, PickleValue::Object>) {
      return beyond(value.items);
    } else if constexpr (std::is_same_v<T, PickleValue::Storage>) {
      return 8 * kBlock;  // its buffer, and whoever keeps it by its key
    } else {
      return 0;
    }
  }

  std::size_t left_, copies_left_;
  std::deque<PickleValue> values_;
};

/// What a pickle may refer to beyond plain containers and numbers.
class PickleHost {
 public:
  virtual ~PickleHost() = default;
  /// Whether the global "module.name" may be named at all.
  virtual bool allows(const std::string& name) const = 0;
  /// The result of calling a Global with a tuple of arguments. Throws FormatError naming it where
  /// it is not one of those that are known to do nothing but make a value.
  virtual PickleValue* call(const PickleValue& global, const PickleValue& arguments,
                            PickleArena& arena) = 0;
  /// An instance of a class, made without running its constructor.
  virtual PickleValue* instance(const PickleValue& type, const PickleValue& arguments,
                                PickleArena& arena) = 0;
  /// Gives a value its state, as its class keeps it; throws FormatError where it can have none.
  virtual void build(PickleValue& value, const PickleValue& state, PickleArena& arena) = 0;
  /// The object that a persistent id stands for.
  virtual PickleValue* persistent(const PickleValue& id, PickleArena& arena) = 0;
};

/// Reads one pickle, protocols 0 to 5 (Python's pickletools.py documents them), off the front of
/// `reader`. Nothing is ever executed: globals that the host does not allow, calls that it does not
/// know, and opcodes that reach beyond the pickle throw FormatError naming them. Values live in
/// `arena` and borrow from the reader's bytes.
const PickleValue* read_pickle(ByteReader& reader, PickleHost& host, PickleArena& arena);

}  // namespace msd
