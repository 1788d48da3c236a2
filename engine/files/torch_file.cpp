// SPDX-License-Identifier: MIT
#include "engine/files/torch_file.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "engine/files/torch_host.h"
#include "engine/files/zip_archive.h"

namespace msd {
namespace {

using List = PickleValue::List;
class ZipHost : public TorchHost {
 public:
  explicit ZipHost(std::span<const std::byte> bytes) : TorchHost(bytes.size()), archive_(bytes) {
    constexpr std::string_view kPickle = "data.pkl";
    for (const std::string& name : archive_.names()) {
      if (name != kPickle && !name.ends_with(message('/', kPickle))) continue;
      if (pickle_ != nullptr) throw FormatError("holds more than one data.pkl");
      folder_ = name.substr(0, name.size() - kPickle.size());
      pickle_ = archive_.read(name, (std::uint64_t{3} << 20) + bytes.size());
    }
    if (pickle_ == nullptr || archive_.contains(folder_ + "constants.pkl")) refuse();
    if (archive_.contains(folder_ + "byteorder")) {
      const std::shared_ptr<Buffer> order = archive_.read(folder_ + "byteorder", 64);
      const std::string_view text(reinterpret_cast<const char*>(order->data()),
                                  static_cast<std::size_t>(order->size_bytes()));
      if (text != "little") {
        throw FormatError(
            "has byte order " + printable(text) +
            ", not little; load it with PyTorch on a common machine and save it there");
      }
    }
  }

  /// The pickle, which the values borrow from.
  std::shared_ptr<Buffer> pickle() const { return pickle_; }

 protected:
  std::shared_ptr<Buffer> bytes_of(const std::string& key, std::int64_t bytes) override {
    if (bytes == 0 && !archive_.contains(folder_ + "data/" + key)) {
      return std::make_shared<Buffer>(host_allocator(), 0);
    }
    return archive_.read(folder_ + "data/" + key, static_cast<std::uint64_t>(bytes));
  }

 private:
  // What the archive is instead.
  [[noreturn]] void refuse() const {
    if (pickle_ != nullptr) {
      throw FormatError(
          "is a TorchScript archive of torch.jit.save, which holds a program; load it with "
          "torch.jit.load and save the weights: torch.save(model.state_dict(), FILE)");
    }
    const std::vector<std::string>& names = archive_.names();
    const auto any = [&](auto test) { return std::any_of(names.begin(), names.end(), test); };
    if (any([](const std::string& name) { return name.ends_with("archive_format"); })) {
      throw FormatError(
          "is an archive of torch.export.save, which holds a program; save the weights instead: "
          "torch.save(model.state_dict(), FILE)");
    }
    if (any([](const std::string& name) { return name.ends_with(".npy"); })) {
      throw FormatError("is a NumPy archive (.npz); weights are read from torch.save's files");
    }
    throw FormatError("is a zip archive, but not of torch.save: no data.pkl in it" +
                      (names.empty() ? std::string()
                                     : ", but " + printable(names.front()) +
                                           "; unpack it and give the file itself"));
  }

  ZipArchive archive_;
  std::string folder_;
  std::shared_ptr<Buffer> pickle_;
};

// Five pickles (magic number, protocol, system, the objects, the storages' keys), then for each key
// the number of elements and the elements.
class LegacyHost : public TorchHost {
 public:
  explicit LegacyHost(std::span<const std::byte> bytes)
      : TorchHost(bytes.size()), left_(bytes.size()) {}

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
      if (elems != buffer.size_bytes() / found->second.width) {
        throw FormatError(message("storage ", printable(key), " has ", elems, " elements, not the ",
                                  buffer.size_bytes() / found->second.width,
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

bool starts_with(std::span<const std::byte> bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

// The size of the pickle of the number 0x1950a86a20f9469cfc6c that a legacy file starts with, by
// any protocol; 0 where there is none.
std::size_t legacy_magic_bytes(std::span<const std::byte> bytes) {
  constexpr std::string_view kMagicNumber("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 13);
  constexpr std::string_view kMagicText = "L119547037146038801333356L\n.";  // protocol 1
  if (starts_with(bytes, kMagicText)) return kMagicText.size();
  for (const char protocol : {'\2', '\3', '\4', '\5'}) {
    if (!starts_with(bytes, std::string{'\x80', protocol})) continue;
    constexpr std::size_t kProtocolBytes = 2, kFrameBytes = 9;
    const bool framed = bytes.size() > kProtocolBytes && bytes[2] == std::byte{0x95};
    const std::size_t at = kProtocolBytes + (framed ? kFrameBytes : 0);
    const bool found = bytes.size() > at && starts_with(bytes.subspan(at), kMagicNumber);
    return found ? at + kMagicNumber.size() : 0;
  }
  return 0;
}

}  // namespace

bool looks_like_torch(std::span<const std::byte> bytes) {
  return starts_with(bytes, kZipMagic) || legacy_magic_bytes(bytes) > 0;
}

TorchFile::TorchFile(std::span<const std::byte> bytes)
    : format_(starts_with(bytes, kZipMagic) ? Format::zip : Format::legacy), arena_(bytes.size()) {
  if (format_ == Format::zip) {
    ZipHost host(bytes);
    pickle_ = host.pickle();
    ByteReader reader({pickle_->data(), static_cast<std::size_t>(pickle_->size_bytes())});
    root_ = read_pickle(reader, host, arena_);
    return;
  }
  const std::size_t magic = legacy_magic_bytes(bytes);
  if (magic == 0) throw FormatError("is no file of torch.save");
  ByteReader reader(bytes.subspan(magic));
  LegacyHost host(bytes);
  const std::int64_t protocol =
      integer_of(*read_pickle(reader, host, arena_), "the protocol of the file");
  if (protocol != 1001) throw FormatError(message("has protocol ", protocol, ", not 1001"));
  const PickleValue* little = read_pickle(reader, host, arena_)->find("little_endian");
  if (little == nullptr || little->as<bool>() == nullptr || !*little->as<bool>()) {
    throw FormatError(
        "does not say that it is little-endian; load it with PyTorch where it was made and save "
        "it on a common machine");
  }
  root_ = read_pickle(reader, host, arena_);
  host.read_storages(reader, *read_pickle(reader, host, arena_));
}

}  // namespace msd
