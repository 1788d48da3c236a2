// SPDX-License-Identifier: MIT
#include <cstring>
#include <unordered_set>

#include "engine/files/torch_host.h"
#include "models/weights/torch_networks.h"
#include "models/weights/torch_state.h"
#include "tests/fuzz/look.h"
#include "tests/fuzz/targets.h"

namespace msd::fuzz {
namespace {

// Storages of zeros: what they hold is the file formats' affair.
class ZeroStorages : public TorchHost {
 public:
  using TorchHost::TorchHost;

 protected:
  std::shared_ptr<Buffer> bytes_of(const std::string&, std::int64_t bytes) override {
    constexpr std::int64_t kMost = 4096;
    if (bytes > kMost) throw FormatError("more than a storage has here");
    auto buffer = std::make_shared<Buffer>(host_allocator(), bytes);
    if (bytes > 0) std::memset(buffer->data(), 0, static_cast<std::size_t>(bytes));
    return buffer;
  }
};

}  // namespace
}  // namespace msd::fuzz

void msd::fuzz::pickle(Bytes bytes) {
  ZeroStorages host(bytes.size());
  PickleArena arena(bytes.size());
  ByteReader reader(bytes);
  const PickleValue& root = *read_pickle(reader, host, arena);
  // Values may form cycles, and one value may be in many places.
  std::vector<const PickleValue*> left = {&root};
  std::unordered_set<const PickleValue*> seen;
  while (!left.empty()) {
    const PickleValue* value = left.back();
    left.pop_back();
    if (value == nullptr || !seen.insert(value).second) continue;
    static_cast<void>(value->kind());
    if (const auto* tensor = value->as<Tensor>()) look_at(*tensor);
    if (const auto* held = value->as<PickleValue::Bytes>()) look_at(held->bytes);
    if (const auto* list = value->as<PickleValue::List>()) {
      left.insert(left.end(), list->items.begin(), list->items.end());
    }
    const auto* object = value->as<PickleValue::Object>();
    if (object != nullptr) {
      left.insert(left.end(), {object->type, object->arguments, object->state});
    }
    const auto* dict = object != nullptr ? &object->items : value->as<PickleValue::Dict>();
    if (dict == nullptr) continue;
    for (const auto& [key, item] : dict->items) left.insert(left.end(), {key, item});
  }
  static_cast<void>(holds_weights(root));
  if (has_torch_state(root)) {
    for (const auto& [name, tensor] : torch_state(root).tensors) look_at(tensor);
  }
}
