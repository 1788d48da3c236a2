// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "engine/files/byte_reader.h"
#include "engine/files/torch7_file.h"

namespace msd {

/// What begins every value of a Torch7 file.
enum class Torch7Tag : std::int32_t {
  nil = 0,
  number = 1,
  text = 2,
  table = 3,
  torch = 4,
  boolean = 5,
  old_function = 6,  // without an index
  legacy_function = 7,
  function = 8,
};

/// Reads values off the front of a file's bytes into `file`, which Torch7File's constructor makes.
/// Each value is a tag of 4 bytes and its content; tests/support/torch7_writer.h has the layout.
class Torch7Reader {
 public:
  Torch7Reader(std::span<const std::byte> bytes, Torch7File& file);

  const Torch7Value* read(int depth = 0);

 private:
  Torch7Value* add(Torch7Value value);
  std::string_view intern(std::string_view name);
  std::string_view text();
  std::int64_t count(std::size_t at, std::string_view what, std::int64_t value,
                     std::int64_t bytes_each) const;
  const Torch7Value* boolean(std::size_t at);
  // Values that may be referred to again by their index.
  const Torch7Value* indexed(std::size_t at, Torch7Tag tag, int depth);
  void table(std::size_t at, Torch7Value& value, int depth);
  void function(Torch7Value& value, int depth);
  void torch(std::size_t at, Torch7Value& value, int depth);
  void storage(std::size_t at, std::string_view class_name, Torch7Value& value);
  void tensor(std::size_t at, std::string_view class_name, Torch7Value& value, int depth);

  ByteReader reader_;
  Torch7File& file_;
  const Torch7Value* nil_;
  const Torch7Value* false_;
  const Torch7Value* true_;
  std::map<std::int32_t, const Torch7Value*> indexed_;
  std::int64_t copies_left_;  // bytes of packed copies of strided tensors
};

}  // namespace msd
