// SPDX-License-Identifier: MIT
#include <bit>
#include <map>

#include "engine/files/torch_file.h"
#include "engine/files/zip_archive.h"

namespace msd {
namespace {

std::string_view storage_type(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "FloatStorage";
    case DType::f64:
      return "DoubleStorage";
    case DType::f16:
      return "HalfStorage";
    case DType::bf16:
      return "BFloat16Storage";
    case DType::i64:
      return "LongStorage";
    case DType::i32:
      return "IntStorage";
    case DType::u8:
      return "ByteStorage";
  }
  throw FormatError("a tensor of a type that PyTorch has no storage for");
}

}  // namespace

TorchObject TorchObject::integer(std::int64_t value) {
  TorchObject object;
  object.integer_ = value;
  return object;
}
TorchObject TorchObject::real(double value) {
  TorchObject object;
  object.kind_ = Kind::real;
  object.real_ = value;
  return object;
}
TorchObject TorchObject::boolean(bool value) {
  TorchObject object;
  object.kind_ = Kind::boolean;
  object.integer_ = value ? 1 : 0;
  return object;
}
TorchObject TorchObject::text(std::string value) {
  TorchObject object;
  object.kind_ = Kind::text;
  object.text_ = std::move(value);
  return object;
}
TorchObject TorchObject::tensor(Tensor value) {
  MSD_CHECK(value.is_contiguous() && value.on_host(), "a strided tensor, or one of a device");
  TorchObject object;
  object.kind_ = Kind::tensor;
  object.tensor_ = std::move(value);
  return object;
}
TorchObject TorchObject::list(std::vector<TorchObject> items) {
  TorchObject object;
  object.kind_ = Kind::list;
  object.items_ = std::move(items);
  return object;
}
TorchObject TorchObject::dict(std::vector<std::pair<TorchObject, TorchObject>> items,
                              bool ordered) {
  TorchObject object;
  object.kind_ = ordered ? Kind::ordered_dict : Kind::dict;
  for (auto& [key, value] : items) {
    object.items_.push_back(std::move(key));
    object.items_.push_back(std::move(value));
  }
  return object;
}

/// Makes the pickle (protocol 2) and collects the tensors as storages of their own.
class TorchWriter {
 public:
  std::vector<std::byte> archive(const TorchObject& root) {
    pickle_ = "\x80\x02";
    put(root);
    pickle_ += '.';
    const std::string version = "3\n", order = "little";
    std::vector<ZipEntry> entries = {{"archive/data.pkl", std::as_bytes(std::span(pickle_))},
                                     {"archive/byteorder", std::as_bytes(std::span(order))}};
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      const Tensor& tensor = tensors_[i];
      entries.push_back({"archive/data/" + std::to_string(i),
                         {static_cast<const std::byte*>(tensor.data()),
                          static_cast<std::size_t>(tensor.elems() * size_bytes(tensor.dtype()))}});
    }
    entries.push_back({"archive/version", std::as_bytes(std::span(version))});
    return zip_archive(entries);
  }

 private:
  using Kind = TorchObject::Kind;

  template <typename T>
  void raw(T value) {
    pickle_.append(reinterpret_cast<const char*>(&value), sizeof(T));
  }
  void integer(std::int64_t value) {
    if (value >= 0 && value < 256) {
      pickle_ += 'K';
      raw(static_cast<std::uint8_t>(value));
    } else if (value == static_cast<std::int32_t>(value)) {
      pickle_ += 'J';
      raw(static_cast<std::int32_t>(value));
    } else {
      pickle_ += "\x8a\x08";
      raw(value);
    }
  }
  void real(double value) {
    pickle_ += 'G';
    const auto bits = std::bit_cast<std::uint64_t>(value);
    for (int shift = 56; shift >= 0; shift -= 8) pickle_ += static_cast<char>(bits >> shift);
  }
  void text(std::string_view value) {
    pickle_ += 'X';
    raw(static_cast<std::uint32_t>(value.size()));
    pickle_ += value;
  }
  void global(std::string_view module, std::string_view name) {
    pickle_ += message('c', module, '\n', name, '\n');
  }
  void tuple(const std::vector<std::int64_t>& values) {
    pickle_ += '(';
    for (const std::int64_t value : values) integer(value);
    pickle_ += 't';
  }
  void ordered_dict() {
    global("collections", "OrderedDict");
    pickle_ += ")R";
  }
  void tensor(const Tensor& value) {
    global("torch._utils", "_rebuild_tensor_v2");
    pickle_ += "((";
    text("storage");
    global("torch", storage_type(value.dtype()));
    text(std::to_string(tensors_.size()));
    text("cpu");
    integer(value.elems());
    pickle_ += "tQ";
    integer(0);
    tuple(value.shape());
    tuple(value.strides());
    pickle_ += '\x89';
    ordered_dict();
    pickle_ += "tR";
    tensors_.push_back(value);
  }
  void put(const TorchObject& object) {
    switch (object.kind_) {
      case Kind::integer:
        return integer(object.integer_);
      case Kind::real:
        return real(object.real_);
      case Kind::boolean:
        pickle_ += object.integer_ != 0 ? '\x88' : '\x89';
        return;
      case Kind::text:
        return text(object.text_);
      case Kind::tensor:
        return tensor(object.tensor_);
      case Kind::list:
      case Kind::dict:
      case Kind::ordered_dict:
        break;
    }
    if (object.kind_ == Kind::ordered_dict) {
      ordered_dict();
    } else {
      pickle_ += object.kind_ == Kind::list ? ']' : '}';
    }
    pickle_ += '(';
    for (const TorchObject& item : object.items_) put(item);
    pickle_ += object.kind_ == Kind::list ? 'e' : 'u';
  }

  std::string pickle_;
  std::vector<Tensor> tensors_;
};

void write_torch(const std::filesystem::path& path, const TorchObject& root) {
  const std::vector<std::byte> archive = TorchWriter().archive(root);
  write_file_atomically(path, {std::span<const std::byte>(archive)});
}

}  // namespace msd
