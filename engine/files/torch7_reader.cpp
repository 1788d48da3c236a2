// SPDX-License-Identifier: MIT
#include "engine/files/torch7_reader.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

namespace msd {
namespace {

template <typename... Parts>
[[noreturn, gnu::noinline]] void fail(std::size_t at, const Parts&... parts) {
  throw FormatError(message("at byte ", at, ": ", parts...));
}

constexpr std::string_view kTensor = "Tensor", kStorage = "Storage";

struct Element {
  std::string_view name;
  std::int64_t bytes = 0;
  std::optional<DType> dtype;
};
constexpr Element kElements[] = {{"Float", 4, DType::f32}, {"Double", 8, DType::f64},
                                 {"Half", 2, DType::f16},  {"Byte", 1, DType::u8},
                                 {"Char", 1, DType::u8},   {"Short", 2, std::nullopt},
                                 {"Int", 4, DType::i32},   {"Long", 8, DType::i64}};

/// The elements of "torch.FloatTensor", "torch.CudaStorage", "torch.CudaLongTensor", ...; nullptr
/// for a class that does not end in `ending`.
const Element* element_of(std::string_view class_name, std::string_view ending) {
  constexpr std::string_view kTorch = "torch.", kCuda = "Cuda";
  if (!class_name.starts_with(kTorch) || !class_name.ends_with(ending)) return nullptr;
  std::string_view name = class_name.substr(kTorch.size());
  name.remove_suffix(std::min(name.size(), ending.size()));
  if (name == kCuda) name = "Float";
  if (name.starts_with(kCuda)) name.remove_prefix(kCuda.size());
  const auto* found = std::find_if(std::begin(kElements), std::end(kElements),
                                   [&](const Element& element) { return element.name == name; });
  return found == std::end(kElements) ? nullptr : found;
}

/// Torch7's class versions: the number of "V 1"; none where the text is something else.
std::optional<double> version_of(std::string_view text) {
  if (!text.starts_with("V ")) return std::nullopt;
  double version = 0.0;
  const auto [end, error] = std::from_chars(text.data() + 2, text.data() + text.size(), version);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return version;
}

}  // namespace

Torch7Reader::Torch7Reader(std::span<const std::byte> bytes, Torch7File& file)
    : reader_(bytes),
      file_(file),
      nil_(add({Torch7Value::Nil{}})),
      false_(add({false})),
      true_(add({true})),
      copies_left_(static_cast<std::int64_t>(bytes.size())) {}

Torch7Value* Torch7Reader::add(Torch7Value value) {
  if (file_.values_.size() >= Torch7File::kMostValues) {
    fail(reader_.at(), "more than ", Torch7File::kMostValues, " values: no file of weights");
  }
  return &file_.values_.emplace_back(std::move(value));
}

std::string_view Torch7Reader::intern(std::string_view name) {
  const auto found = file_.names_.find(name);
  return found != file_.names_.end() ? *found : *file_.names_.emplace(name).first;
}

std::int64_t Torch7Reader::count(std::size_t at, std::string_view what, std::int64_t value,
                                 std::int64_t bytes_each) const {
  if (value < 0 || value > static_cast<std::int64_t>(reader_.left()) / bytes_each) {
    fail(at, what, " of size ", value, ", but ", reader_.left(), " bytes follow; is it truncated?");
  }
  return value;
}

std::string_view Torch7Reader::text() {
  const std::size_t at = reader_.at();
  return reader_.text(
      static_cast<std::uint64_t>(count(at, "a text", reader_.value<std::int32_t>(), 1)));
}

const Torch7Value* Torch7Reader::read(int depth) {
  const std::size_t at = reader_.at();
  if (depth > Torch7File::kDeepest) fail(at, "nested deeper than ", Torch7File::kDeepest);
  const auto tag = reader_.value<std::int32_t>();
  switch (static_cast<Torch7Tag>(tag)) {
    case Torch7Tag::nil:
      return nil_;
    case Torch7Tag::number:
      return add({reader_.value<double>()});
    case Torch7Tag::text:
      return add({std::string(text())});
    case Torch7Tag::boolean:
      return boolean(at);
    case Torch7Tag::old_function: {
      Torch7Value* value = add({});
      function(*value, depth);
      return value;
    }
    case Torch7Tag::table:
    case Torch7Tag::torch:
    case Torch7Tag::legacy_function:
    case Torch7Tag::function:
      return indexed(at, static_cast<Torch7Tag>(tag), depth);
  }
  fail(at, "a value of type ", tag, ", which Torch7 does not have");
}

const Torch7Value* Torch7Reader::boolean(std::size_t at) {
  const auto value = reader_.value<std::int32_t>();
  if (value != 0 && value != 1) fail(at, "a boolean of value ", value);
  return value == 1 ? true_ : false_;
}

const Torch7Value* Torch7Reader::indexed(std::size_t at, Torch7Tag tag, int depth) {
  const auto index = reader_.value<std::int32_t>();
  const auto found = indexed_.find(index);
  if (found != indexed_.end()) return found->second;
  Torch7Value* value = add({Torch7Value::Opaque{"a value within itself"}});
  indexed_.emplace(index, value);
  if (tag == Torch7Tag::table) {
    table(at, *value, depth);
  } else if (tag == Torch7Tag::torch) {
    torch(at, *value, depth);
  } else {
    function(*value, depth);
  }
  return value;
}

void Torch7Reader::table(std::size_t at, Torch7Value& value, int depth) {
  // Key and value are 4 bytes at least. Nothing is reserved: the size is only a claim.
  const std::int64_t size = count(at, "a table", reader_.value<std::int32_t>(), 8);
  auto& items = value.value.emplace<Torch7Value::Table>().items;
  for (std::int64_t i = 0; i < size; ++i) {
    const Torch7Value* key = read(depth + 1);
    items.emplace_back(key, read(depth + 1));
  }
}

void Torch7Reader::function(Torch7Value& value, int depth) {
  value.value = Torch7Value::Opaque{"a Lua function"};
  text();           // its byte code
  read(depth + 1);  // what it closes over
}

void Torch7Reader::torch(std::size_t at, Torch7Value& value, int depth) {
  const std::string_view first = text();
  const std::optional<double> version = version_of(first);
  const std::string_view class_name = intern(version ? text() : first);
  if (element_of(class_name, kStorage) != nullptr) return storage(at, class_name, value);
  if (element_of(class_name, kTensor) != nullptr) return tensor(at, class_name, value, depth);
  if (class_name.starts_with("tds.")) {
    fail(at, "a ", printable(class_name), ", which is not read; save a plain table instead");
  }
  auto& object = value.value.emplace<Torch7Value::Object>(Torch7Value::Object{class_name, nil_});
  // From its version 2 on this class writes its GPUs' numbers before its fields.
  if (class_name == "nn.DataParallelTable" && version.value_or(0.0) >= 2.0) read(depth + 1);
  object.state = read(depth + 1);
}

void Torch7Reader::storage(std::size_t at, std::string_view class_name, Torch7Value& value) {
  const std::int64_t width = element_of(class_name, kStorage)->bytes;
  const std::int64_t elems = count(at, class_name, reader_.value<std::int64_t>(), width);
  const auto bytes = reader_.take(static_cast<std::uint64_t>(elems * width));
  // Elements lie at any byte of the file, so that they are copied to where they are aligned.
  auto buffer = std::make_shared<Buffer>(host_allocator(), elems * width);
  if (!bytes.empty()) std::memcpy(buffer->data(), bytes.data(), bytes.size());
  value.value = Torch7Value::Storage{class_name, std::move(buffer)};
}

void Torch7Reader::tensor(std::size_t at, std::string_view class_name, Torch7Value& value,
                          int depth) {
  constexpr std::int32_t kMostDimensions = 64;
  const auto dimensions = reader_.value<std::int32_t>();
  if (dimensions < 0 || dimensions > kMostDimensions) {
    fail(at, "a ", class_name, " of ", dimensions, " dimensions");
  }
  std::vector<std::int64_t> shape(static_cast<std::size_t>(dimensions)), strides(shape.size());
  for (std::int64_t& size : shape) size = reader_.value<std::int64_t>();
  for (std::int64_t& stride : strides) stride = reader_.value<std::int64_t>();
  const auto offset = reader_.value<std::int64_t>();  // from 1
  const Torch7Value* memory = read(depth + 1);

  const Element& element = *element_of(class_name, kTensor);
  const std::string_view prefix = class_name.substr(0, class_name.size() - kTensor.size());
  const auto* storage = memory->as<Torch7Value::Storage>();
  std::shared_ptr<Buffer> buffer;
  if (storage != nullptr && storage->class_name == message(prefix, kStorage)) {
    buffer = storage->buffer;
  } else if (memory == nil_) {
    buffer = std::make_shared<Buffer>(host_allocator(), 0);
  } else {
    fail(at, "a ", class_name, " over ", memory->kind());
  }
  if (shape.empty()) shape = {0}, strides = {1};
  if (!element.dtype) {
    value.value = Torch7Value::Opaque{intern(message("a ", class_name))};
    return;
  }
  Tensor tensor;
  try {
    // The offset of a tensor without elements may be anything.
    const bool empty = std::find(shape.begin(), shape.end(), 0) != shape.end();
    const std::int64_t first = empty ? 0 : std::max(offset, std::int64_t{0}) - 1;
    tensor = Tensor::over(buffer, first, std::move(shape), std::move(strides), *element.dtype);
  } catch (const ShapeError&) {
    fail(at, "a ", class_name, " reaches outside its storage of ", buffer->size_bytes(), " bytes");
  }
  // Whoever packs a strided tensor needs memory for it: no more than the file accounts for.
  std::int64_t bytes = element.bytes;
  bool fits = true;
  for (const std::int64_t size : tensor.shape()) {
    fits = fits && !__builtin_mul_overflow(bytes, size, &bytes);
  }
  fits = fits && bytes <= buffer->size_bytes();
  if (fits && !tensor.is_contiguous()) {
    fits = bytes <= copies_left_;
    if (fits) copies_left_ -= bytes;
  }
  if (!fits) {
    value.value =
        Torch7Value::Opaque{intern(message("a ", class_name, " that repeats its storage"))};
    return;
  }
  value.value = Torch7Value::Array{class_name, std::make_shared<const Tensor>(std::move(tensor))};
}

}  // namespace msd
