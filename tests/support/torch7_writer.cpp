// SPDX-License-Identifier: MIT
#include "tests/support/torch7_writer.h"

#include <stdexcept>
#include <string>

namespace msd::test {
namespace {

std::string element_name(DType dtype, bool cuda) {
  switch (dtype) {
    case DType::f32:
      return cuda ? "" : "Float";
    case DType::f64:
      return "Double";
    case DType::f16:
      return "Half";
    case DType::u8:
      return "Byte";
    case DType::i32:
      return "Int";
    case DType::i64:
      return "Long";
    case DType::bf16:
      break;
  }
  throw std::invalid_argument("Torch7 has no such type");
}

}  // namespace

void Torch7Writer::number(double value) {
  integer(1);
  raw(&value, sizeof value);
}

void Torch7Writer::text(std::string_view value) {
  integer(2);
  raw_text(value);
}

void Torch7Writer::boolean(bool value) {
  integer(5);
  integer(value ? 1 : 0);
}

std::int32_t Torch7Writer::table(std::int64_t size) {
  const std::int32_t index = begin(3);
  integer(static_cast<std::int32_t>(size));
  return index;
}

std::int32_t Torch7Writer::object(std::string_view class_name, int version) {
  const std::int32_t index = begin(4);
  if (version > 0) raw_text("V " + std::to_string(version));
  raw_text(class_name);
  return index;
}

std::int32_t Torch7Writer::function(std::int32_t tag) {
  std::int32_t index = 0;
  if (tag == 6) {
    integer(tag);
  } else {
    index = begin(tag);
  }
  raw_text("\x1bLJ\x01 not byte code");
  return index;
}

void Torch7Writer::again(std::int32_t tag, std::int32_t index) {
  integer(tag);
  integer(index);
}

std::int32_t Torch7Writer::storage(std::string_view class_name, const void* data,
                                   std::int64_t elems, std::int64_t bytes) {
  const std::int32_t index = object(class_name);
  long_integer(elems);
  raw(data, static_cast<std::size_t>(bytes));
  return index;
}

std::int32_t Torch7Writer::tensor(std::string_view class_name,
                                  const std::vector<std::int64_t>& shape,
                                  const std::vector<std::int64_t>& strides, std::int64_t offset) {
  const std::int32_t index = object(class_name);
  integer(static_cast<std::int32_t>(shape.size()));
  for (const std::int64_t size : shape) long_integer(size);
  for (const std::int64_t stride : strides) long_integer(stride);
  long_integer(offset);
  return index;
}

std::int32_t Torch7Writer::tensor(const Tensor& value, bool cuda) {
  const std::string prefix = (cuda ? "torch.Cuda" : "torch.") + element_name(value.dtype(), cuda);
  const std::int32_t index = tensor(prefix + "Tensor", value.shape(), value.strides());
  storage(prefix + "Storage", value.data(), value.elems(),
          value.elems() * size_bytes(value.dtype()));
  return index;
}

void Torch7Writer::raw_text(std::string_view value) {
  integer(static_cast<std::int32_t>(value.size()));
  raw(value.data(), value.size());
}

void Torch7Writer::raw(const void* data, std::size_t size) {
  const auto* from = static_cast<const std::byte*>(data);
  if (size > 0) bytes_.insert(bytes_.end(), from, from + size);
}

std::int32_t Torch7Writer::begin(std::int32_t tag) {
  integer(tag);
  integer(++index_);
  return index_;
}

}  // namespace msd::test
