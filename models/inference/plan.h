// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/replay.h"
#include "engine/runtime.h"
#include "engine/tensor.h"
#include "models/network/network.h"

namespace msd {

/// A network compiled for inference: batch norm folded into the convolutions' weights and biases,
/// ReLU into their epilogue, weights packed for the kernels, and the work cut into stages, one an
/// exit, each holding exactly what that exit adds to the earlier ones (lazy). Immutable once made:
/// any number of sessions, one a thread, may share it.
class Plan {
 public:
  /// Stages for `exits` (indices from 0, rising). All of them: early exit. A single one: that exit
  /// alone, without the earlier classifiers (direct). Reads the network now; later changes of its
  /// weights do not show. activations: the type of the network's parameters, or bf16 on CUDA.
  Plan(Runtime& runtime, const Network& network, std::vector<std::int64_t> exits,
       DType activations);
  Plan(Runtime& runtime, const Network& network, std::vector<std::int64_t> exits)
      : Plan(runtime, network, std::move(exits), network.dtype()) {}
  /// Stages for every exit.
  Plan(Runtime& runtime, const Network& network, DType activations);
  Plan(Runtime& runtime, const Network& network) : Plan(runtime, network, network.dtype()) {}

  const Architecture& architecture() const { return architecture_; }
  DType dtype() const { return dtype_; }
  const std::vector<std::int64_t>& exits() const { return exits_; }
  std::int64_t stages() const { return static_cast<std::int64_t>(exits_.size()); }
  /// Mul-adds of one image up to and including a stage, as counted from its operations.
  std::int64_t mul_adds(std::int64_t stage) const;

 private:
  friend class PlanSession;
  struct Weights {
    const void* packed = nullptr;  // Convolution: packed for conv_forward; Linear: [out][in]
    const void* bias = nullptr;
  };

  Architecture architecture_;
  DType dtype_;
  std::vector<std::int64_t> exits_;
  std::vector<std::vector<std::size_t>> stages_;  // operations, in execution order
  std::vector<Weights> weights_;                  // one an operation
  std::vector<Tensor> storage_;
};

/// Images a session runs at once with the least time an image. On the CPU 8 a thread: more fall out
/// of the cache between layers (net A on one Zen 5 core: 1.7 ms an image at 4 to 8, 2.1 at 64, 2.4
/// at 1). On CUDA 256, enough to fill a GPU with CIFAR's maps; not measured yet.
std::int64_t preferred_batch(const Runtime& runtime);

/// Buffers and bound calls to run a plan over batches of one size. Not thread-safe.
class PlanSession {
 public:
  /// Borrows runtime (its thread and allocator) and plan.
  PlanSession(Runtime& runtime, const Plan& plan, std::int64_t batch);
  PlanSession(const PlanSession&) = delete;
  PlanSession& operator=(const PlanSession&) = delete;

  std::int64_t batch() const { return batch_; }
  /// To fill before every stage 0, in the runtime's memory: normalised images
  /// [batch,size,size,3]. Its memory serves later layers: what it held is gone once stage 0 ran.
  View input() const { return buffers_[0]; }
  /// Fills it from the host. images: f32 or f64.
  void set_input(const ConstView& images) { write_view(runtime_.allocator(), input(), images); }

  /// Runs one stage; stages run in order, and the input must not be written between stage 0 and the
  /// last one that runs. What later stages would need is not computed. Allocates nothing. Returns
  /// the exit's logits [batch,1,1,classes] in the runtime's memory, valid until stage 0 runs again.
  View run_stage(std::int64_t stage);

  /// Mul-adds of one image that the calls made since stage 0 last ran have really executed, summed
  /// from their operands' shapes.
  std::int64_t executed_mul_adds() const { return executed_mul_adds_; }
  std::int64_t arena_bytes() const { return arena_.size_bytes(); }

 private:
  // One group of a stage: one call of one op.
  using Step = std::variant<std::vector<ConvForwardArgs>, std::vector<MaxPoolForwardArgs>,
                            std::vector<AvgPoolForwardArgs>, std::vector<LinearForwardArgs>>;

  void place_buffers();
  View view(const Feature& feature) const;
  /// Adds the operation's call to `steps`, in a step of its own where it starts a group.
  void bind(std::size_t operation, bool starts_group, std::vector<Step>& steps) const;
  static std::int64_t mul_adds_of(const Step& step);
  void run(const Step& step) const;

  Runtime& runtime_;
  const Plan& plan_;
  std::int64_t batch_;
  Buffer arena_;
  std::vector<View> buffers_;  // one a feature buffer; null where never used
  struct Stage {
    std::string name;  // for profilers
    std::vector<Step> steps;
    std::int64_t mul_adds = 0;  // of one image
    Replay replay;
  };
  std::vector<Stage> stages_;
  std::int64_t next_stage_ = 0;
  std::int64_t executed_mul_adds_ = 0;
};

}  // namespace msd
