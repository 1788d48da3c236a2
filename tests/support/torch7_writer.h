// SPDX-License-Identifier: MIT
// Files as Torch7's torch.save() writes them in its binary format on x86-64, from this description
// (after File.lua, generic/Tensor.c and generic/Storage.c of Torch7). int is 4 bytes, long 8,
// everything little-endian.
//
//   value    = int 0                                        nil
//            | int 1, double                                number
//            | int 2, text                                  string
//            | int 3, int index, [table]                    table
//            | int 4, int index, [class]                    object of a class of Torch7
//            | int 5, int 0 or 1                            boolean
//            | int 6, function                              function (before there were indices)
//            | int 7 or 8, int index, [function]            function
//   text     = int size, bytes
//   table    = int size, (value key, value) * size
//   function = text byte code, value upvalues
//   class    = [text "V <version>"], text class name, content; the oldest files have no version
//   content  = storage | tensor | value                     the value: a table of its fields
//   storage  = long size, elements
//   tensor   = int dimensions, long sizes[], long strides[], long offset (from 1), value storage
//
// An index counts the tables, objects and functions from 1; what is in brackets stands only where
// the index is new. nn.DataParallelTable of version 2 and 3 writes a value before its fields.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "engine/tensor.h"

namespace msd::test {

class Torch7Writer {
 public:
  const std::vector<std::byte>& bytes() const { return bytes_; }

  void nil() { integer(0); }
  void number(double value);
  void text(std::string_view value);
  void boolean(bool value);

  // The following return the index of what they begin; its content is written next.
  std::int32_t table(std::int64_t size);                              // keys and values
  std::int32_t object(std::string_view class_name, int version = 1);  // version 0: none written
  std::int32_t function(std::int32_t tag = 8);                        // the upvalues
  /// Something written before; `tag` as there.
  void again(std::int32_t tag, std::int32_t index);

  /// A storage of `elems` elements of the class, torch.FloatStorage and so on, whole.
  std::int32_t storage(std::string_view class_name, const void* data, std::int64_t elems,
                       std::int64_t bytes);
  /// The head of a tensor; its storage is written next.
  std::int32_t tensor(std::string_view class_name, const std::vector<std::int64_t>& shape,
                      const std::vector<std::int64_t>& strides, std::int64_t offset = 1);
  /// A contiguous tensor with a storage of its own; "torch.Cuda..." where `cuda`.
  std::int32_t tensor(const Tensor& value, bool cuda = false);

  void integer(std::int32_t value) { raw(&value, sizeof value); }
  void long_integer(std::int64_t value) { raw(&value, sizeof value); }
  void raw_text(std::string_view value);
  void raw(const void* data, std::size_t size);

 private:
  std::int32_t begin(std::int32_t tag);

  std::vector<std::byte> bytes_;
  std::int32_t index_ = 0;
};

}  // namespace msd::test
