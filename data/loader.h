// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "data/dataset.h"
#include "engine/image_normalizer.h"
#include "kernels/ops.h"

namespace msd {

/// standard: 4 pixels of border that are zero after normalising (the mean colour), a random crop of
/// the image's own size, mirrored left-right with probability 1/2.
enum class Augmentation { none, standard };

struct LoaderOptions {
  std::int64_t batch_size = 64;
  bool drop_last = false;  // leave out a last batch that is not full
  bool shuffle = false;    // a new order every epoch, from (seed, epoch)
  Augmentation augmentation = Augmentation::none;
  bool pixels = true;  // without: a batch says which samples, crops and labels, and has no images
  std::uint64_t seed = 0;
  DType dtype = DType::f32;  // f32 or f64
  int workers = 0;           // threads that prepare batches, 2 each ahead; 0: next() does
  std::array<float, 3> mean{}, std{1.0f, 1.0f, 1.0f};  // grey levels, per channel
  const cpu::OpTable* cpu_ops = nullptr;               // null: those of cpu::default_isa()
};

/// A batch of `images.n` samples. The memory is the loader's, on the host.
struct Batch {
  View images;                            // [n,h,w,c], normalised and augmented; data may be null
  const std::int32_t* labels = nullptr;   // [n]
  const std::int64_t* samples = nullptr;  // [n] positions in the ImageSet
  const CropFlip* crops = nullptr;        // [n] how they are augmented; null: not at all
  std::int64_t step = 0;                  // from 0 within the epoch
};

/// Cuts an index list into batches, epoch after epoch. What a batch holds depends on the options,
/// the epoch and the step, and a sample's augmentation on (seed, epoch, its position in the set):
/// never on the number of workers or where the epoch was entered. After construction nothing is
/// allocated. Used by one thread at a time.
class Loader {
 public:
  /// `set` is borrowed and outlives the loader; `indices` are positions in it. Throws ConfigError
  /// for options that cannot work (no batch at all, batch_size < 1, workers < 0, a std that is not
  /// positive, dtype) and ShapeError for an index outside the set or more than 3 channels.
  Loader(const ImageSet& set, std::vector<std::int64_t> indices, const LoaderOptions& options);
  /// At any moment, also while batches are being prepared.
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  std::int64_t steps_per_epoch() const { return steps_; }

  /// Begins `epoch` (in [0, 2^32)) at `first_step` (in [0, steps_per_epoch()]); may be called in
  /// mid-epoch. Sets wait_seconds() to 0.
  void start_epoch(std::int64_t epoch, std::int64_t first_step = 0);

  /// The next batch in order, valid until the next call of next() or start_epoch(); null when the
  /// epoch is over or none was started. Rethrows what preparing this batch threw, on every call
  /// until start_epoch().
  const Batch* next();

  /// Seconds this epoch's calls of next() took: with workers, the time waited for them.
  double wait_seconds() const { return wait_seconds_; }

 private:
  struct Slot;
  struct Worker;

  void fill(Worker& worker, Slot& slot, std::int64_t step) const;
  void run(Worker& worker);
  void stop() noexcept;
  Slot& slot_of(std::int64_t step) const;

  const ImageSet& set_;
  const std::vector<std::int64_t> indices_;
  const LoaderOptions options_;
  const cpu::OpTable* const ops_;
  const ImageNormalizer normalizer_;
  std::int64_t steps_ = 0;
  std::vector<std::unique_ptr<Slot>> ring_;  // step s lies in ring_[s % ring_.size()]
  std::vector<std::unique_ptr<Worker>> workers_;

  // The caller's alone.
  std::int64_t consumed_ = 0;  // the step next() returns next
  double wait_seconds_ = 0.0;

  // Written by start_epoch() while no batch is being prepared.
  std::int64_t epoch_ = 0;
  std::vector<std::int64_t> order_;

  std::mutex mutex_;  // guards what follows and the slots' ready
  std::condition_variable work_, done_;
  std::int64_t claimed_ = 0;    // the first step no worker has taken
  std::int64_t claimable_ = 0;  // steps below this have a free slot
  int busy_ = 0;                // workers preparing a batch
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace msd
