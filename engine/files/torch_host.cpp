// SPDX-License-Identifier: MIT
#include "engine/files/torch_host.h"

#include <algorithm>
#include <limits>

namespace msd {
namespace {

using Dict = PickleValue::Dict;
using List = PickleValue::List;

struct StorageType {
  std::string_view name;  // the class, without "torch."
  std::string_view type;  // of an element, as PyTorch calls it
  std::int64_t width;
  std::optional<DType> dtype;
};
constexpr StorageType kStorageTypes[] = {{"FloatStorage", "float32", 4, DType::f32},
                                         {"DoubleStorage", "float64", 8, DType::f64},
                                         {"HalfStorage", "float16", 2, DType::f16},
                                         {"BFloat16Storage", "bfloat16", 2, DType::bf16},
                                         {"LongStorage", "int64", 8, DType::i64},
                                         {"IntStorage", "int32", 4, DType::i32},
                                         {"ByteStorage", "uint8", 1, DType::u8},
                                         {"BoolStorage", "bool", 1, DType::u8},
                                         {"CharStorage", "int8", 1, {}},
                                         {"ShortStorage", "int16", 2, {}},
                                         {"ComplexFloatStorage", "complex64", 8, {}},
                                         {"ComplexDoubleStorage", "complex128", 16, {}},
                                         {"QInt8Storage", "qint8", 1, {}},
                                         {"QUInt8Storage", "quint8", 1, {}},
                                         {"QInt32Storage", "qint32", 4, {}},
                                         {"QUInt4x2Storage", "quint4x2", 1, {}},
                                         {"QUInt2x4Storage", "quint2x4", 1, {}},
                                         {"storage.UntypedStorage", "bytes", 1, {}},
                                         {"UntypedStorage", "bytes", 1, {}}};

const StorageType* storage_type(std::string_view name) {
  for (const std::string_view module : {"torch.cuda.", "torch."}) {
    if (!name.starts_with(module)) continue;
    const std::string_view bare = name.substr(module.size());
    const auto* found = std::find_if(std::begin(kStorageTypes), std::end(kStorageTypes),
                                     [&](const StorageType& type) { return type.name == bare; });
    if (found != std::end(kStorageTypes)) return found;
  }
  return nullptr;
}

constexpr std::string_view kSize = "torch.Size";
constexpr std::string_view kRebuild = "torch._utils._rebuild_";
constexpr std::string_view kRebuildParameter = "torch._utils._rebuild_parameter";
constexpr std::string_view kRebuildFromType = "torch._tensor._rebuild_from_type_v2";

std::vector<std::int64_t> integers_of(const PickleValue& value, std::string_view what) {
  const auto* list = value.as<List>();
  constexpr std::size_t kMostDimensions = 64;
  if (list == nullptr || list->items.size() > kMostDimensions) {
    throw FormatError(message(what, " is ", value.kind()));
  }
  std::vector<std::int64_t> out;
  for (const PickleValue* item : list->items) out.push_back(integer_of(*item, what));
  return out;
}

// Whether a tensor of _rebuild_tensor_v2 is another one than its storage holds: conjugated or
// negated when it is read.
bool is_lazy(const std::vector<const PickleValue*>& given) {
  const auto* metadata = given.size() > 6 ? given[6]->as<Dict>() : nullptr;
  return metadata != nullptr && !metadata->items.empty();
}

// Where PyTorch 0.3 and before shared a part of a storage: (key of the part, offset, size).
PickleValue::Storage view_of(const PickleValue::Storage& root,
                             const std::vector<const PickleValue*>& id) {
  const auto* view = id.size() > 5 ? id[5]->as<List>() : nullptr;
  if (view == nullptr) return root;
  if (view->items.size() != 3) throw FormatError("a view of a storage has no offset and size");
  const std::int64_t offset = integer_of(*view->items[1], "a view's offset");
  const std::int64_t elems = integer_of(*view->items[2], "a view's size");
  const std::int64_t width = root.width, all = root.buffer->size_bytes() / width;
  if (offset < 0 || elems < 0 || offset > all || elems > all - offset) {
    throw FormatError("a view of a storage lies outside it");
  }
  PickleValue::Storage part = root;
  part.buffer =
      std::make_shared<Buffer>(root.buffer, root.buffer->data() + offset * width, elems * width);
  return part;
}

}  // namespace

std::int64_t integer_of(const PickleValue& value, std::string_view what) {
  const auto* integer = value.as<std::int64_t>();
  if (integer == nullptr) throw FormatError(message(what, " is ", value.kind()));
  return *integer;
}

const std::string& text_of(const PickleValue& value, std::string_view what) {
  const auto* text = value.as<std::string>();
  if (text == nullptr) throw FormatError(message(what, " is ", value.kind()));
  return *text;
}

PickleValue* TorchHost::call(const PickleValue& global, const PickleValue& arguments,
                             PickleArena& arena) {
  const std::string& name = global.as<PickleValue::Global>()->name;
  const Values& given = arguments.as<List>()->items;
  if (name == kSize && given.size() == 1 && given[0]->as<List>() != nullptr) {
    return arena.add(List{given[0]->as<List>()->items, true});
  }
  // A parameter is its tensor, whatever else it has (requires_grad, hooks, attributes).
  if (name.starts_with(kRebuildParameter) && !given.empty()) {
    if (const auto* tensor = given[0]->as<Tensor>()) return arena.add(*tensor);
    if (const auto* object = given[0]->as<PickleValue::Object>()) return arena.add(*object);
  }
  // A tensor with attributes, or of a class of its own: (function, class, arguments, state).
  if (name == kRebuildFromType && given.size() == 4 && given[2]->as<List>() != nullptr) {
    const auto* function = given[0]->as<PickleValue::Global>();
    if (function != nullptr && function->name.starts_with(kRebuild)) {
      return call(*given[0], *given[2], arena);
    }
  }
  constexpr std::string_view kTensors[] = {"tensor", "tensor_v2", "tensor_v3"};
  for (const std::string_view kind : kTensors) {
    if (name == message(kRebuild, kind)) return rebuild_tensor(given, arena);
  }
  if (name.starts_with(kRebuild) && !name.starts_with(kRebuildParameter)) {
    std::string what = name.substr(kRebuild.size());  // "qtensor", "sparse_tensor", ...
    return opaque_object("tensor of another kind, " + what, nullptr, arena);
  }
  if (name == kSize || name.starts_with(kRebuildParameter)) {
    throw FormatError(
        message("calls ", name, " with ", given.size(), " arguments that do not fit"));
  }
  return PythonHost::call(global, arguments, arena);
}

PickleValue* TorchHost::persistent(const PickleValue& id, PickleArena& arena) {
  const auto* parts = id.as<List>();
  if (parts == nullptr || parts->items.size() < 2) {
    throw FormatError("refers to an object outside that is no storage");
  }
  const Values& p = parts->items;
  const std::string& kind = text_of(*p[0], "the kind of an object outside");
  const auto* type = p[1]->as<PickleValue::Global>();
  // A class of a whole model, with its source beside it, which nobody reads.
  if (kind == "module" && type != nullptr) return arena.add(*type);
  if (kind != "storage" || p.size() < 5) {
    throw FormatError("refers to " + printable(kind) + " outside; only storages are read");
  }
  const StorageType* known = type == nullptr ? nullptr : storage_type(type->name);
  if (known == nullptr) throw FormatError(message("a storage's type is ", p[1]->kind()));
  const std::string& key = text_of(*p[2], "a storage's key");
  const std::int64_t elems = integer_of(*p[4], "a storage's size");
  if (elems < 0 || elems > std::numeric_limits<std::int64_t>::max() / known->width) {
    throw FormatError(message("storage ", printable(key), " claims ", elems, " elements"));
  }
  const auto found = storages_.find(key);
  Storage storage{nullptr, known->dtype, known->type, known->width};
  if (found == storages_.end()) {
    storage.buffer = bytes_of(key, elems * known->width);
    storages_.emplace(key, storage);
  } else {
    storage.buffer = found->second.buffer;
  }
  if (storage.buffer->size_bytes() != elems * known->width) {
    throw FormatError(message("storage ", printable(key), " has ", storage.buffer->size_bytes(),
                              " bytes, its ", elems, " elements need ", elems * known->width));
  }
  return arena.add(view_of(storage, p));
}

// (storage, offset, size, strides, requires_grad, hooks, metadata), the last three in version 2;
// or, in version 3, the type before the metadata and a storage of bytes.
PickleValue* TorchHost::rebuild_tensor(const Values& given, PickleArena& arena) {
  const auto* held = given.size() < 4 ? nullptr : given[0]->as<Storage>();
  if (held == nullptr) {
    throw FormatError(message("a tensor over ", given.empty() ? "nothing" : given[0]->kind()));
  }
  const auto* type = given.size() > 6 ? given[6]->as<PickleValue::Global>() : nullptr;
  if (type == nullptr) {
    if (is_lazy(given)) {
      return opaque_object("tensor that is conjugated or negated", given[2], arena);
    }
    return tensor(*held, given, arena);
  }
  Storage storage = *held;
  storage.dtype.reset();  // that of the tensor counts
  storage.type = type->name;
  if (storage.type.starts_with("torch.")) storage.type.remove_prefix(6);
  for (const StorageType& known : kStorageTypes) {
    if (type->name != message("torch.", known.type)) continue;
    storage.dtype = known.dtype;
    storage.width = known.width;
  }
  return tensor(storage, given, arena);
}

PickleValue* TorchHost::tensor(const Storage& storage, const Values& given, PickleArena& arena) {
  if (!storage.dtype) {
    return opaque_object("tensor of " + std::string(storage.type), given[2], arena);
  }
  std::vector<std::int64_t> shape = integers_of(*given[2], "a tensor's size");
  std::vector<std::int64_t> strides = integers_of(*given[3], "a tensor's stride");
  const std::int64_t offset = integer_of(*given[1], "a tensor's offset");
  std::int64_t bytes = storage.width;
  for (const std::int64_t d : shape) {
    if (d < 0 || __builtin_mul_overflow(bytes, std::max<std::int64_t>(1, d), &bytes)) {
      throw FormatError("a tensor has an impossible shape");
    }
  }
  Tensor tensor;
  try {
    tensor =
        Tensor::over(storage.buffer, offset, std::move(shape), std::move(strides), *storage.dtype);
  } catch (const ShapeError&) {
    throw FormatError(message("a tensor reaches outside its storage of ",
                              storage.buffer->size_bytes(), " bytes"));
  }
  // Whoever packs a strided tensor needs memory for it: no more than the file accounts for.
  if (tensor.elems() > 0 && !tensor.is_contiguous()) {
    if (bytes > copies_left_) {
      return opaque_object("tensor whose elements repeat beyond the file's size", given[2], arena);
    }
    copies_left_ -= bytes;
  }
  return arena.add(std::move(tensor));
}

}  // namespace msd
