// SPDX-License-Identifier: MIT
#include "engine/files/torch_file.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <set>

#include "engine/files/zip_archive.h"

namespace msd {
namespace {

using List = PickleValue::List;
using Storage = PickleValue::Storage;

struct StorageType {
  std::string_view name;
  DType dtype;
};
constexpr StorageType kStorageTypes[] = {
    {"FloatStorage", DType::f32},     {"DoubleStorage", DType::f64}, {"HalfStorage", DType::f16},
    {"BFloat16Storage", DType::bf16}, {"LongStorage", DType::i64},   {"IntStorage", DType::i32},
    {"ByteStorage", DType::u8},       {"BoolStorage", DType::u8}};

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

constexpr std::string_view kOrderedDict = "collections.OrderedDict";
constexpr std::string_view kSize = "torch.Size";
constexpr std::string_view kRebuildTensor = "torch._utils._rebuild_tensor";
constexpr std::string_view kRebuildTensor2 = "torch._utils._rebuild_tensor_v2";
constexpr std::string_view kRebuildParameter = "torch._utils._rebuild_parameter";

std::int64_t integer_of(const PickleValue& value, std::string_view what) {
  const auto* integer = value.as<std::int64_t>();
  if (integer == nullptr) throw FormatError(message(what, " is ", value.kind()));
  return *integer;
}

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

const std::string& text_of(const PickleValue& value, std::string_view what) {
  const auto* text = value.as<std::string>();
  if (text == nullptr) throw FormatError(message(what, " is ", value.kind()));
  return *text;
}

// Rebuilds tensors; where a storage's bytes come from is the formats' difference.
class Host : public PickleHost {
 public:
  explicit Host(std::size_t file_bytes) : copies_left_(static_cast<std::int64_t>(file_bytes)) {}

  bool allows(const std::string& name) const override {
    return name == kOrderedDict || name == kSize || name == kRebuildTensor ||
           name == kRebuildTensor2 || name == kRebuildParameter || storage_type(name) != nullptr;
  }

  PickleValue* call(const std::string& name, const List& arguments, PickleArena& arena) override {
    const std::vector<const PickleValue*>& given = arguments.items;
    if (name == kOrderedDict) return ordered_dict(given, arena);
    if (name == kSize && given.size() == 1) {
      return arena.add(List{items_of(*given[0]), true});
    }
    if ((name == kRebuildTensor && given.size() == 4) ||
        (name == kRebuildTensor2 && given.size() >= 6)) {
      return arena.add(tensor(*given[0], *given[1], *given[2], *given[3]));
    }
    if (name == kRebuildParameter && given.size() == 3 && given[0]->as<Tensor>() != nullptr) {
      return arena.add(*given[0]->as<Tensor>());
    }
    throw FormatError(
        message("calls ", name, " with ", given.size(), " arguments that do not fit"));
  }

  PickleValue* persistent(const PickleValue& id, PickleArena& arena) override {
    const auto* parts = id.as<List>();
    if (parts == nullptr || parts->items.size() < 5) {
      throw FormatError("refers to an object outside that is no storage");
    }
    const std::vector<const PickleValue*>& p = parts->items;
    const std::string& kind = text_of(*p[0], "the kind of an object outside");
    if (kind != "storage") {
      throw FormatError("refers to " + printable(kind) + " outside; only storages are read");
    }
    const auto* type = p[1]->as<PickleValue::Global>();
    const StorageType* known = type == nullptr ? nullptr : storage_type(type->name);
    if (known == nullptr) throw FormatError(message("a storage's type is ", p[1]->kind()));
    const std::string& key = text_of(*p[2], "a storage's key");
    const std::int64_t elems = integer_of(*p[4], "a storage's size");
    const std::int64_t width = size_bytes(known->dtype);
    if (elems < 0 || elems > std::numeric_limits<std::int64_t>::max() / width) {
      throw FormatError(message("storage ", printable(key), " claims ", elems, " elements"));
    }
    const auto found = storages_.find(key);
    Storage storage{nullptr, known->dtype};
    if (found == storages_.end()) {
      storage.buffer = bytes_of(key, elems * width);
      storages_.emplace(key, storage);
    } else {
      storage.buffer = found->second.buffer;
    }
    if (storage.buffer->size_bytes() != elems * width) {
      throw FormatError(message("storage ", printable(key), " has ", storage.buffer->size_bytes(),
                                " bytes, its ", elems, " elements need ", elems * width));
    }
    return arena.add(view_of(storage, p));
  }

 protected:
  /// The `bytes` of a storage that is named for the first time.
  virtual std::shared_ptr<Buffer> bytes_of(const std::string& key, std::int64_t bytes) = 0;

  std::map<std::string, Storage> storages_;

 private:
  // Where PyTorch 0.3 and before shared a part of a storage: (key of the part, offset, size).
  static Storage view_of(const Storage& root, const std::vector<const PickleValue*>& id) {
    const auto* view = id.size() > 5 ? id[5]->as<List>() : nullptr;
    if (view == nullptr) return root;
    if (view->items.size() != 3) throw FormatError("a view of a storage has no offset and size");
    const std::int64_t offset = integer_of(*view->items[1], "a view's offset");
    const std::int64_t elems = integer_of(*view->items[2], "a view's size");
    const std::int64_t width = size_bytes(root.dtype), all = root.buffer->size_bytes() / width;
    if (offset < 0 || elems < 0 || offset > all || elems > all - offset) {
      throw FormatError("a view of a storage lies outside it");
    }
    return {
        std::make_shared<Buffer>(root.buffer, root.buffer->data() + offset * width, elems * width),
        root.dtype};
  }

  static std::vector<const PickleValue*> items_of(const PickleValue& value) {
    const auto* list = value.as<List>();
    if (list == nullptr) throw FormatError(message("makes a list of ", value.kind()));
    return list->items;
  }

  static PickleValue* ordered_dict(const std::vector<const PickleValue*>& given,
                                   PickleArena& arena) {
    PickleValue::Dict dict;
    if (given.size() > 1) throw FormatError("makes an OrderedDict of more than one thing");
    for (const PickleValue* pair : given.empty() ? given : items_of(*given[0])) {
      const std::vector<const PickleValue*> both = items_of(*pair);
      if (both.size() != 2) throw FormatError("makes an OrderedDict of something else than pairs");
      dict.items.emplace_back(both[0], both[1]);
    }
    return arena.add(std::move(dict));
  }

  Tensor tensor(const PickleValue& storage_value, const PickleValue& offset_value,
                const PickleValue& size_value, const PickleValue& stride_value) {
    const auto* storage = storage_value.as<Storage>();
    if (storage == nullptr) throw FormatError(message("a tensor over ", storage_value.kind()));
    std::vector<std::int64_t> shape = integers_of(size_value, "a tensor's size");
    std::vector<std::int64_t> strides = integers_of(stride_value, "a tensor's stride");
    const std::int64_t offset = integer_of(offset_value, "a tensor's offset");
    const std::int64_t width = size_bytes(storage->dtype);
    std::int64_t bytes = width;
    for (const std::int64_t d : shape) {
      if (d < 0 || __builtin_mul_overflow(bytes, std::max<std::int64_t>(1, d), &bytes)) {
        throw FormatError("a tensor has an impossible shape");
      }
    }
    Tensor tensor;
    try {
      tensor = Tensor::over(storage->buffer, offset, std::move(shape), std::move(strides),
                            storage->dtype);
    } catch (const ShapeError&) {
      throw FormatError(message("a tensor reaches outside its storage of ",
                                storage->buffer->size_bytes(), " bytes"));
    }
    // Whoever packs a strided tensor needs memory for it: no more than the file accounts for.
    if (tensor.elems() == 0) return tensor;
    if (bytes > storage->buffer->size_bytes()) {
      throw FormatError("a tensor repeats elements of its storage; save it as a copy of its own");
    }
    if (!tensor.is_contiguous() && (copies_left_ -= bytes) < 0) {
      throw FormatError("its strided tensors are larger than the file; save them as copies");
    }
    return tensor;
  }

  std::int64_t copies_left_;
};

class ZipHost : public Host {
 public:
  explicit ZipHost(std::span<const std::byte> bytes) : Host(bytes.size()), archive_(bytes) {
    constexpr std::string_view kPickle = "data.pkl";
    for (const std::string& name : archive_.names()) {
      if (name != kPickle && !name.ends_with(message('/', kPickle))) continue;
      if (pickle_ != nullptr) throw FormatError("holds more than one data.pkl");
      folder_ = name.substr(0, name.size() - kPickle.size());
      pickle_ = archive_.read(name, (std::uint64_t{3} << 20) + bytes.size() / 4);
    }
    if (pickle_ == nullptr)
      throw FormatError("is a zip archive, but not of torch.save: no data.pkl");
    if (archive_.contains(folder_ + "byteorder")) {
      const std::shared_ptr<Buffer> order = archive_.read(folder_ + "byteorder", 64);
      const std::string_view text(reinterpret_cast<const char*>(order->data()),
                                  static_cast<std::size_t>(order->size_bytes()));
      if (text != "little") throw FormatError("has byte order " + printable(text) + ", not little");
    }
  }

  std::span<const std::byte> pickle() const {
    return {pickle_->data(), static_cast<std::size_t>(pickle_->size_bytes())};
  }

 protected:
  std::shared_ptr<Buffer> bytes_of(const std::string& key, std::int64_t bytes) override {
    if (bytes == 0 && !archive_.contains(folder_ + "data/" + key)) {
      return std::make_shared<Buffer>(host_allocator(), 0);
    }
    return archive_.read(folder_ + "data/" + key, static_cast<std::uint64_t>(bytes));
  }

 private:
  ZipArchive archive_;
  std::string folder_;
  std::shared_ptr<Buffer> pickle_;
};

// Five pickles (magic number, protocol, system, the objects, the storages' keys), then for each key
// the number of elements and the elements.
class LegacyHost : public Host {
 public:
  explicit LegacyHost(std::span<const std::byte> bytes) : Host(bytes.size()), left_(bytes.size()) {}

  void read_storages(ByteReader& reader, const PickleValue& keys) {
    const auto* list = keys.as<List>();
    if (list == nullptr) throw FormatError(message("has ", keys.kind(), " for the storages' keys"));
    std::set<std::string> filled;
    for (const PickleValue* item : list->items) {
      const std::string& key = text_of(*item, "a storage's key");
      const auto found = storages_.find(key);
      if (found == storages_.end() || !filled.insert(key).second) {
        throw FormatError("holds storage " + printable(key) + ", which no tensor names, or twice");
      }
      const Buffer& buffer = *found->second.buffer;
      const auto elems = reader.value<std::int64_t>();
      if (elems != buffer.size_bytes() / size_bytes(found->second.dtype)) {
        throw FormatError(message("storage ", printable(key), " has ", elems, " elements, not the ",
                                  buffer.size_bytes() / size_bytes(found->second.dtype),
                                  " its tensors count on"));
      }
      const auto bytes = reader.take(static_cast<std::uint64_t>(buffer.size_bytes()));
      if (!bytes.empty()) std::memcpy(buffer.data(), bytes.data(), bytes.size());
    }
    for (const auto& [key, storage] : storages_) {
      if (!filled.contains(key)) throw FormatError("lacks storage " + printable(key));
    }
  }

 protected:
  /// Memory that read_storages() fills.
  std::shared_ptr<Buffer> bytes_of(const std::string& key, std::int64_t bytes) override {
    if (static_cast<std::uint64_t>(bytes) > left_) {
      throw FormatError(message("storage ", printable(key), " claims ", bytes,
                                " bytes, more than the file holds; is it truncated?"));
    }
    left_ -= static_cast<std::size_t>(bytes);
    return std::make_shared<Buffer>(host_allocator(), bytes);
  }

 private:
  std::size_t left_;  // of the file, for storages
};

constexpr std::string_view kZipMagic("PK\x03\x04", 4);
// Protocol 2 and the number 0x1950a86a20f9469cfc6c in 10 bytes.
constexpr std::string_view kLegacyMagic("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.",
                                        15);

bool starts_with(std::span<const std::byte> bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

}  // namespace

bool looks_like_torch(std::span<const std::byte> bytes) {
  return starts_with(bytes, kZipMagic) || starts_with(bytes, kLegacyMagic);
}

TorchFile::TorchFile(std::span<const std::byte> bytes)
    : format_(starts_with(bytes, kZipMagic) ? Format::zip : Format::legacy), arena_(bytes.size()) {
  if (format_ == Format::zip) {
    ZipHost host(bytes);
    ByteReader reader(host.pickle());
    root_ = read_pickle(reader, host, arena_);
    return;
  }
  if (!starts_with(bytes, kLegacyMagic)) throw FormatError("is no file of torch.save");
  ByteReader reader(bytes.subspan(kLegacyMagic.size()));
  LegacyHost host(bytes);
  const std::int64_t protocol =
      integer_of(*read_pickle(reader, host, arena_), "the protocol of the file");
  if (protocol != 1001) throw FormatError(message("has protocol ", protocol, ", not 1001"));
  const PickleValue* little = read_pickle(reader, host, arena_)->find("little_endian");
  if (little == nullptr || little->as<bool>() == nullptr || !*little->as<bool>()) {
    throw FormatError("does not say that it is little-endian");
  }
  root_ = read_pickle(reader, host, arena_);
  host.read_storages(reader, *read_pickle(reader, host, arena_));
}

}  // namespace msd
