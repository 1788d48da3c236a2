// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "engine/parameters.h"
#include "engine/runtime.h"
#include "engine/tensor.h"

namespace msd {

/// Channels [first, first + channels) of one of a tape's activation buffers.
struct Variable {
  std::int32_t buffer = -1;
  std::int64_t first = 0, channels = 0;
};

/// What a node needs beside its variables: bytes of the arena, for one of the step's phases.
struct ScratchRequest {
  enum class Phase : std::uint8_t {
    forward,
    forward_to_next,  // until the forward of the node recorded next is over
    backward,
    forward_to_backward
  };
  std::int64_t bytes = 0;
  Phase phase = Phase::forward;
};

class Tape;

/// A group op of the tape and its gradient rule: independent problems, one kernel call.
/// Subclasses (engine/autograd/) record their problems, ask for scratch, bind pointers once the
/// memory is planned, and then only call ops.
class Node {
 public:
  struct Problem {
    Variable input, output;
    /// Set by the tape: a gradient arrives at the output, so backward runs for this problem.
    bool active = false;
    /// Set by the tape: the input's gradient is wanted, and already holds other readers' share.
    bool wants_input_gradient = false, accumulate = false;
    /// Set by the tape: problems of one wave write different gradients and may run at once.
    int wave = 0;
  };

  virtual ~Node() = default;

  std::vector<Problem> problems;

  /// A root has no output: it writes its inputs' gradients already in forward (the losses).
  virtual bool is_root() const { return false; }
  virtual bool backward_reads_input() const { return true; }
  /// Called when the problems' flags are final.
  virtual std::vector<ScratchRequest> scratch(const Tape&) const { return {}; }
  /// Pointers are final: `scratch` answers scratch() request by request.
  virtual void bind(const Tape& tape, const std::vector<std::byte*>& scratch) = 0;
  virtual void forward(ExecutionContext& context) = 0;
  virtual void backward(ExecutionContext& context) = 0;
  /// Whose gradients problem p's backward writes. Without a gradient at its output they have none,
  /// and are neither stepped nor decayed.
  virtual std::vector<ParameterSet::Id> parameters(std::size_t /*problem*/) const { return {}; }
};

/// A recorded sequence of group ops over static shapes. Record, compile() once, then run forward()
/// and backward() any number of times without allocating. Reverse-mode: gradients of parameters
/// are overwritten by each backward(); those of activations are accumulated over their readers.
class Tape {
 public:
  /// Borrows both; parameters must be allocated in `dtype` before compile().
  Tape(Runtime& runtime, ParameterSet& parameters, DType dtype);
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;
  ~Tape();

  // Recording.
  struct BufferOptions {
    bool requires_gradient = true;
    bool keep = false;               // readable from outside at any time
    bool gradient_in_place = false;  // its one reader's backward overwrites the value with it
  };
  Variable buffer(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c,
                  BufferOptions options);
  Variable buffer(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c) {
    return buffer(n, h, w, c, BufferOptions{});
  }
  template <typename NodeType, typename... Args>
  NodeType& record(Args&&... args) {
    auto node = std::make_unique<NodeType>(std::forward<Args>(args)...);
    NodeType& reference = *node;
    nodes_.push_back(std::move(node));
    return reference;
  }

  /// Finds what has a gradient, plans the memory and binds every node. Masks the parameters without
  /// a gradient.
  void compile();

  void forward();
  /// For whoever exchanges gradients with other processes while backward still runs. Calls
  /// `ready(first, end)`, where given, as soon as the calls that make the flat gradient's elements
  /// [first, end) final are made: from the end of the buffer to its start, every element once.
  using GradientReady = std::function<void(std::int64_t first, std::int64_t end)>;
  void backward(const GradientReady& ready = {});

  // For nodes and for reading results.
  View value(Variable v) const;
  View gradient(Variable v) const;
  ParameterSet& parameters() const { return parameters_; }
  DType dtype() const { return dtype_; }
  /// Shape of a variable; data is null before compile().
  View shape(Variable v) const;
  std::int64_t arena_bytes() const { return arena_.size_bytes(); }

 private:
  struct ActivationBuffer {
    View value;
    View gradient;
    BufferOptions options;
  };
  void find_gradients();
  void find_ready_ranges();
  void lay_out();

  Runtime& runtime_;
  ParameterSet& parameters_;
  DType dtype_;
  std::vector<ActivationBuffer> buffers_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<std::vector<Variable>> zeroed_;     // gradients to clear before node i's backward
  std::vector<std::vector<FillArgs>> zero_args_;  // the same, bound
  std::vector<std::int64_t> ready_from_;          // flat elements final after node i's backward
  Buffer arena_;
  bool compiled_ = false;
};

}  // namespace msd
