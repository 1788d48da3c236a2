// SPDX-License-Identifier: MIT
#include "engine/files/safetensors.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "engine/files/hash.h"
#include "engine/files/json_text.h"
#include "kernels/check.h"

namespace msd {
namespace {

constexpr std::int64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit

struct TypeName {
  std::optional<DType> dtype;
  std::string_view text;
  std::int64_t bits = 0;
};
constexpr TypeName kTypes[] = {{DType::f64, "F64", 64}, {DType::f32, "F32", 32},
                               {DType::f16, "F16", 16}, {DType::bf16, "BF16", 16},
                               {DType::i64, "I64", 64}, {DType::i32, "I32", 32},
                               {DType::u8, "U8", 8},    {{}, "BOOL", 8},
                               {{}, "I8", 8},           {{}, "I16", 16},
                               {{}, "U16", 16},         {{}, "U32", 32},
                               {{}, "U64", 64},         {{}, "C64", 64},
                               {{}, "F8_E5M2", 8},      {{}, "F8_E4M3", 8},
                               {{}, "F8_E8M0", 8},      {{}, "F6_E2M3", 6},
                               {{}, "F6_E3M2", 6},      {{}, "F4", 4}};

std::string_view type_name(DType dtype) {
  for (const TypeName& type : kTypes) {
    if (type.dtype == dtype) return type.text;
  }
  throw FormatError(message("a tensor of type ", name(dtype), " cannot be stored in safetensors"));
}

struct Entry {
  std::string name;
  std::int64_t begin, end;
};

// `data` holds the tensors' bytes. Nothing where no tensor here has the type.
std::optional<Tensor> read_tensor(const std::string& name, const nlohmann::json& info,
                                  const std::shared_ptr<Buffer>& data, Entry& entry) {
  const auto fail = [&](const auto&... parts) {
    throw FormatError(message("tensor ", printable(name), " ", parts...));
  };
  const auto type = info.at("dtype").get<std::string>();
  const TypeName* known = std::find_if(std::begin(kTypes), std::end(kTypes),
                                       [&](const TypeName& t) { return t.text == type; });
  if (known == std::end(kTypes)) {
    fail("has type ", printable(type), ", which the format does not have");
  }
  std::vector<std::int64_t> shape, offsets;
  try {
    read_member(info, "shape", shape);
    read_member(info, "data_offsets", offsets);
  } catch (const FormatError& error) {
    fail("has a damaged entry: ", error.what());
  }
  const std::int64_t size = data->size_bytes();
  if (offsets.size() != 2 || offsets[0] < 0 || offsets[1] < offsets[0] || offsets[1] > size) {
    fail("lies outside the file's ", size, " bytes of data; is the file truncated?");
  }
  std::int64_t bits = known->bits;
  bool empty = false;
  for (const std::int64_t d : shape) {
    if (d < 0 || (d > 0 && bits > std::numeric_limits<std::int64_t>::max() / d)) {
      fail("has an impossible shape");
    }
    bits *= std::max<std::int64_t>(1, d);
    empty = empty || d == 0;
  }
  const std::int64_t bytes = empty ? 0 : bits / 8;
  if (bytes != offsets[1] - offsets[0]) {
    fail("has ", offsets[1] - offsets[0], " bytes, its shape needs ", bytes);
  }
  entry = {name, offsets[0], offsets[1]};
  if (!known->dtype) return std::nullopt;
  const std::int64_t width = size_bytes(*known->dtype);
  std::byte* const at = data->data() + offsets[0];
  if (!empty && reinterpret_cast<std::uintptr_t>(at) % static_cast<std::uintptr_t>(width) == 0) {
    const auto own = std::make_shared<Buffer>(data, at, bytes);
    std::vector<std::int64_t> strides(shape.size());
    std::int64_t stride = 1;
    for (std::size_t i = shape.size(); i-- > 0; stride *= shape[i]) strides[i] = stride;
    return Tensor::over(own, 0, shape, std::move(strides), *known->dtype);
  }
  Tensor copy = Tensor::empty(host_allocator(), shape, *known->dtype);
  if (bytes > 0) std::memcpy(copy.data(), at, static_cast<std::size_t>(bytes));
  return copy;
}

nlohmann::json parse_header(std::string_view text, std::size_t file_bytes) {
  constexpr int kDeepest = 3;  // header, tensor, list; a number
  // The format wants the brace first; spaces may follow the last one.
  if (!text.starts_with('{')) throw FormatError("has a header that is no JSON object");
  try {
    return parse_json(text, file_bytes, kDeepest);
  } catch (const FormatError& error) {
    throw FormatError(message("has a header that ", error.what()));
  }
}

// The checksum's entry up to its digits, as write_safetensors prints it. In no other place: quotes
// within a name or a value are escaped.
std::string checksum_entry() { return message('"', kChecksumKey, "\":\"", kHashPrefix); }

constexpr std::size_t kDigits = kHashTextSize - kHashPrefix.size();

// The header with its checksum's digits as zeros; sets `at` to where they start.
std::string without_checksum(std::string header, std::size_t& at) {
  at = header.find(checksum_entry());
  if (at == std::string::npos) return header;
  at += checksum_entry().size();
  if (at + kDigits > header.size()) return header;
  return header.replace(at, kDigits, kDigits, '0');
}

void verify_checksum(const std::string& checksum, std::span<const std::byte> file,
                     std::size_t header_bytes) {
  const auto* text = reinterpret_cast<const char*>(file.data() + 8);
  std::size_t at = 0;
  Hash hash;
  hash.add(file.first(8));
  hash.add(without_checksum(std::string(text, header_bytes), at));
  hash.add(file.subspan(8 + header_bytes));
  if (hash.text() == checksum) return;
  throw FormatError(
      "does not have the checksum it names: it is damaged (or another program rewrote it and kept "
      "the old checksum; then remove that entry of its metadata)");
}

// Of a file of 8 bytes or more.
std::uint64_t named_header_bytes(std::span<const std::byte> file) {
  std::uint64_t header_bytes = 0;
  for (std::size_t i = 0; i < 8; ++i) {
    header_bytes |= static_cast<std::uint64_t>(file[i]) << (8 * i);
  }
  return header_bytes;
}

}  // namespace

bool looks_like_safetensors(std::span<const std::byte> bytes) {
  return bytes.size() > 8 && bytes[8] == std::byte{'{'} &&
         named_header_bytes(bytes) <= kMaxHeaderBytes;
}

Safetensors parse_safetensors(const std::shared_ptr<const FileBytes>& bytes) {
  const std::span<const std::byte> file = bytes->bytes();
  if (file.size() < 8) throw FormatError("is shorter than a safetensors header");
  const std::uint64_t header_bytes = named_header_bytes(file);
  if (header_bytes > kMaxHeaderBytes || header_bytes > file.size() - 8) {
    throw FormatError(message("names a header of ", header_bytes, " bytes in a file of ",
                              file.size(), "; it is truncated or no safetensors file"));
  }
  const nlohmann::json header =
      parse_header({reinterpret_cast<const char*>(file.data() + 8), header_bytes}, file.size());
  const auto data =
      std::make_shared<Buffer>(bytes, bytes->data() + 8 + header_bytes,
                               static_cast<std::int64_t>(file.size() - 8 - header_bytes));
  Safetensors out;
  std::vector<Entry> entries;
  try {
    for (const auto& [name, info] : header.items()) {
      if (name == "__metadata__") {
        out.metadata = info.get<std::map<std::string, std::string>>();
        continue;
      }
      entries.emplace_back();
      if (std::optional<Tensor> tensor = read_tensor(name, info, data, entries.back())) {
        out.tensors[name] = std::move(*tensor);
      } else {
        out.passed_over[name] = info.at("dtype").get<std::string>();
      }
    }
  } catch (const nlohmann::json::exception& error) {
    throw FormatError(message("has a damaged header: ", json_problem(error)));
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  if (const auto entry = out.metadata.extract(std::string(kChecksumKey)); !entry.empty()) {
    out.checksum = entry.mapped();
    verify_checksum(out.checksum, file, header_bytes);
  }
  std::int64_t at = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != at) {
      throw FormatError(message("tensor ", printable(entry.name), " starts at byte ", entry.begin,
                                " of the data, not at ", at));
    }
    at = entry.end;
  }
  if (at != data->size_bytes()) {
    throw FormatError(message("has ", data->size_bytes() - at, " bytes behind its last tensor"));
  }
  return out;
}

Safetensors read_safetensors(const std::filesystem::path& path) {
  const auto file = std::make_shared<const FileBytes>(path);
  try {
    return parse_safetensors(file);
  } catch (const FormatError& error) {
    throw FormatError(path.string() + ": " + error.what());
  }
}

void write_safetensors(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors,
                       std::map<std::string, std::string> metadata,
                       const std::filesystem::path& previous) {
  metadata[std::string(kChecksumKey)] = std::string(kHashPrefix) + std::string(kDigits, '0');
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  header["__metadata__"] = metadata;
  std::vector<std::span<const std::byte>> parts(2);
  std::vector<const NamedTensor*> order;
  for (const NamedTensor& named : tensors) order.push_back(&named);
  std::stable_sort(order.begin(), order.end(), [](const NamedTensor* a, const NamedTensor* b) {
    return size_bytes(a->tensor.dtype()) > size_bytes(b->tensor.dtype());
  });
  std::int64_t at = 0;
  for (const NamedTensor* ordered : order) {
    const NamedTensor& named = *ordered;
    const Tensor& tensor = named.tensor;
    MSD_CHECK(tensor.is_contiguous(), "tensor ", named.name, " is not contiguous");
    MSD_CHECK(!header.contains(named.name), "two tensors are called ", named.name);
    const std::int64_t bytes = tensor.elems() * size_bytes(tensor.dtype());
    header[named.name] = {{"dtype", type_name(tensor.dtype())},
                          {"shape", tensor.shape()},
                          {"data_offsets", {at, at + bytes}}};
    at += bytes;
    parts.emplace_back(static_cast<const std::byte*>(tensor.data()),
                       static_cast<std::size_t>(bytes));
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception& error) {
    throw FormatError(message(path.string(), ": a name or the metadata: ", json_problem(error)));
  }
  text.resize(static_cast<std::size_t>(round_up(static_cast<std::int64_t>(text.size()), 8)), ' ');
  std::byte length[8];
  for (std::size_t i = 0; i < 8; ++i) {
    length[i] = static_cast<std::byte>((text.size() >> (8 * i)) & 0xFF);
  }
  parts[0] = length;
  parts[1] = std::as_bytes(std::span(text));
  Hash hash;
  for (const std::span<const std::byte> part : parts) hash.add(part);
  std::size_t digits_at = 0;
  text = without_checksum(std::move(text), digits_at);
  text.replace(digits_at, kDigits, hash.text().substr(kHashPrefix.size()));
  parts[1] = std::as_bytes(std::span(text));
  write_file_atomically(path, parts, previous);
}

}  // namespace msd
