// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "data/loader.h"
#include "engine/image_normalizer.h"
#include "engine/runtime.h"
#include "engine/tensor.h"

namespace msd {

/// Where a feed for CUDA keeps the images: all of them on the GPU, or a batch at a time, brought
/// there while the one before is worked on.
enum class Residency : std::uint8_t { automatic, resident, streamed };

/// Brings a loader's batches to where ops run. On the CPU the loader makes them there. On CUDA the
/// images travel as bytes, once or a batch at a time, and the GPU crops, mirrors and normalises
/// them; nothing waits for it. The bits of a batch do not depend on the residency.
class BatchFeed {
 public:
  /// Borrows runtime and set. `automatic` is resident where all images take at most half of the
  /// GPU's free memory. Throws as Loader does.
  BatchFeed(Runtime& runtime, const ImageSet& set, std::vector<std::int64_t> indices,
            const LoaderOptions& options, Residency residency = Residency::automatic);
  ~BatchFeed();

  std::int64_t steps_per_epoch() const { return loader_.steps_per_epoch(); }
  /// As Loader's.
  void start_epoch(std::int64_t epoch, std::int64_t first_step = 0);
  /// The next batch's samples and labels, valid until the next call; its images may not be on the
  /// host. Null when the epoch is over.
  const Batch* next();
  /// Writes that batch's images into `images` [n,h,w,c] and, where not null, its labels into
  /// `labels` [n], both in the runtime's memory, in the order of its ops. At most once a batch.
  void put(const View& images, std::int32_t* labels);

  /// Seconds this epoch's calls of next() waited for the loader.
  double wait_seconds() const { return loader_.wait_seconds(); }
  bool is_resident() const { return resident_images_.defined(); }

 private:
  struct Slot;

  /// Starts to bring the loader's next batch, if there is one, to the GPU.
  void prefetch();

  Runtime& runtime_;
  const ImageSet& set_;
  Loader loader_;
  const Batch* batch_ = nullptr;  // what next() returned

  // On CUDA only.
  Tensor resident_images_;
  std::optional<ImageNormalizer> normalizer_;
  std::unique_ptr<cuda::Stream> copies_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::size_t current_ = 0;  // the slot of batch_; the other one is being filled
};

}  // namespace msd
