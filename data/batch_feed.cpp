// SPDX-License-Identifier: MIT
#include "data/batch_feed.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace msd {
namespace {

LoaderOptions on_device(const Runtime& runtime, LoaderOptions options) {
  if (runtime.device().type == DeviceType::cuda) options.pixels = false;
  return options;
}

}  // namespace

/// A batch on its way: written by the host into pinned memory, copied to the device's, read there.
struct BatchFeed::Slot {
  /// Parts of the memory, one behind the other.
  struct Layout {
    std::int64_t labels, crops, images, bytes;

    Layout(std::int64_t batch, std::int64_t image_bytes) {
      const auto after = [](std::int64_t offset, std::int64_t size) {
        return round_up(offset + size, Allocator::kAlignment);
      };
      labels = after(0, batch * size_bytes(DType::i64));  // first: which image each sample is
      crops = after(labels, batch * size_bytes(DType::i32));
      images = after(crops, batch * static_cast<std::int64_t>(sizeof(CropFlip)));
      bytes = images + batch * image_bytes;
    }
  };

  Slot(Runtime& runtime, std::int64_t batch_size, std::int64_t image_bytes)
      : layout(batch_size, image_bytes),
        pinned(layout.bytes),
        device(runtime.allocator(), layout.bytes),
        labels(static_cast<std::size_t>(batch_size)),
        samples(static_cast<std::size_t>(batch_size)) {}

  template <typename T>
  T* on_host(std::int64_t offset) const {
    return reinterpret_cast<T*>(static_cast<std::byte*>(pinned.data()) + offset);
  }
  template <typename T>
  const T* on_device(std::int64_t offset) const {
    return reinterpret_cast<const T*>(device.data() + offset);
  }

  Layout layout;
  cuda::PinnedMemory pinned;
  Buffer device;
  cuda::Event copied, used;
  Batch batch;
  std::vector<std::int32_t> labels;
  std::vector<std::int64_t> samples;
  bool filled = false;
};

BatchFeed::BatchFeed(Runtime& runtime, const ImageSet& set, std::vector<std::int64_t> indices,
                     const LoaderOptions& options, Residency residency)
    : runtime_(runtime), set_(set), loader_(set, std::move(indices), on_device(runtime, options)) {
  if (runtime.device().type == DeviceType::cpu) return;
  const auto bytes = static_cast<std::int64_t>(set.images.size());
  if (residency == Residency::automatic) {
    residency = bytes <= cuda::free_memory_bytes() / 2 ? Residency::resident : Residency::streamed;
  }
  if (residency == Residency::resident) {
    resident_images_ = Tensor::empty(runtime.allocator(), {bytes}, DType::u8);
    resident_images_.write(set.images.data(), bytes);
  }
  normalizer_.emplace(runtime.allocator(), options.mean, options.std);
  const std::int64_t image_bytes = is_resident() ? 0 : set.image_elems();
  for (int i = 0; i < 2; ++i) {
    slots_.push_back(std::make_unique<Slot>(runtime, options.batch_size, image_bytes));
  }
  runtime.synchronize();  // the slots' memory is there for the other stream too
  copies_ = std::make_unique<cuda::Stream>(runtime.device().index, cuda::Stream::Use::copies);
}

BatchFeed::~BatchFeed() {
  try {
    if (copies_ != nullptr) copies_->synchronize();
  } catch (const Error&) {  // a broken device copies nothing any more
  }
}

void BatchFeed::start_epoch(std::int64_t epoch, std::int64_t first_step) {
  loader_.start_epoch(epoch, first_step);
  batch_ = nullptr;
  if (copies_ == nullptr) return;
  for (const std::unique_ptr<Slot>& slot : slots_) slot->filled = false;
  prefetch();
}

const Batch* BatchFeed::next() {
  if (copies_ == nullptr) return batch_ = loader_.next();
  slots_[current_]->filled = false;
  current_ = 1 - current_;
  batch_ = slots_[current_]->filled ? &slots_[current_]->batch : nullptr;
  if (batch_ != nullptr) prefetch();
  return batch_;
}

void BatchFeed::prefetch() {
  const Batch* batch = loader_.next();
  if (batch == nullptr) return;
  Slot& slot = *slots_[1 - current_];
  slot.copied.synchronize();
  slot.used.synchronize();
  const auto n = static_cast<std::size_t>(batch->images.n);
  std::copy_n(batch->labels, n, slot.labels.begin());
  std::copy_n(batch->samples, n, slot.samples.begin());
  slot.batch = *batch;
  slot.batch.labels = slot.labels.data();
  slot.batch.samples = slot.samples.data();
  slot.filled = true;

  const Slot::Layout& layout = slot.layout;
  auto* index = slot.on_host<std::int64_t>(0);
  std::copy_n(batch->labels, n, slot.on_host<std::int32_t>(layout.labels));
  if (batch->crops != nullptr) std::copy_n(batch->crops, n, slot.on_host<CropFlip>(layout.crops));
  const auto image_bytes = static_cast<std::size_t>(set_.image_elems());
  auto* images = slot.on_host<std::uint8_t>(layout.images);
  for (std::size_t i = 0; i < n; ++i) {
    index[i] = is_resident() ? batch->samples[i] : static_cast<std::int64_t>(i);
    if (is_resident()) continue;
    const auto sample = static_cast<std::size_t>(batch->samples[i]);
    std::memcpy(images + i * image_bytes, set_.images.data() + sample * image_bytes, image_bytes);
  }
  copies_->copy(slot.device.data(), slot.pinned.data(), layout.bytes);
  copies_->record(slot.copied);
}

void BatchFeed::put(const View& images, std::int32_t* labels) {
  MSD_CHECK(batch_ != nullptr && images.n == batch_->images.n, "BatchFeed::put of ",
            batch_ == nullptr ? 0 : batch_->images.n, " images into ", ConstView(images));
  if (copies_ == nullptr) {
    const CopyArgs args = {batch_->images, images};
    msd::copy(runtime_.context(), {&args, 1});
    if (labels != nullptr) std::copy_n(batch_->labels, images.n, labels);
    return;
  }
  Slot& slot = *slots_[current_];
  const Slot::Layout& layout = slot.layout;
  cuda::Stream& ops = *runtime_.stream();
  ops.wait(slot.copied);
  const ImageBytes bytes = {is_resident()
                                ? static_cast<const std::uint8_t*>(resident_images_.data())
                                : slot.on_device<std::uint8_t>(layout.images),
                            is_resident() ? set_.size() : images.n, set_.h, set_.w};
  normalizer_->run(runtime_.context(), bytes, slot.on_device<std::int64_t>(0),
                   batch_->crops == nullptr ? nullptr : slot.on_device<CropFlip>(layout.crops),
                   images);
  if (labels != nullptr) {
    ops.copy(labels, slot.on_device<std::int32_t>(layout.labels),
             images.n * size_bytes(DType::i32));
  }
  ops.record(slot.used);
}

}  // namespace msd
