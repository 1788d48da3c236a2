// SPDX-License-Identifier: MIT
#include "engine/tape.h"

#include <algorithm>

#include "engine/memory_layout.h"

namespace msd {
namespace {

struct ChannelRange {
  std::int64_t first, end;
};

bool overlap(const Variable& a, const Variable& b) {
  return a.buffer == b.buffer && a.first < b.first + b.channels && b.first < a.first + a.channels;
}

// Of a node whose forward and backward run at these steps.
MemoryRequest memory_request(const ScratchRequest& scratch, std::int64_t forward,
                             std::int64_t backward) {
  using Phase = ScratchRequest::Phase;
  switch (scratch.phase) {
    case Phase::forward:
      return {scratch.bytes, forward, forward};
    case Phase::forward_to_next:
      return {scratch.bytes, forward, forward + 1};
    case Phase::backward:
      return {scratch.bytes, backward, backward};
    case Phase::forward_to_backward:
      break;
  }
  return {scratch.bytes, forward, backward};
}

// Which channels of a gradient buffer have been written so far in the order of backward.
class Coverage {
 public:
  /// The parts of [first, end) not written yet.
  std::vector<ChannelRange> missing(ChannelRange wanted) const {
    std::vector<ChannelRange> gaps;
    std::int64_t at = wanted.first;
    for (const ChannelRange& r : written_) {
      if (r.end <= at) continue;
      if (r.first >= wanted.end) break;
      if (r.first > at) gaps.push_back({at, r.first});
      at = std::max(at, r.end);
    }
    if (at < wanted.end) gaps.push_back({at, wanted.end});
    return gaps;
  }

  void add(ChannelRange range) {
    written_.push_back(range);
    std::sort(written_.begin(), written_.end(),
              [](const ChannelRange& a, const ChannelRange& b) { return a.first < b.first; });
    std::vector<ChannelRange> merged;
    for (const ChannelRange& r : written_) {
      if (!merged.empty() && r.first <= merged.back().end) {
        merged.back().end = std::max(merged.back().end, r.end);
      } else {
        merged.push_back(r);
      }
    }
    written_ = std::move(merged);
  }

 private:
  std::vector<ChannelRange> written_;  // disjoint, rising
};

}  // namespace

Tape::Tape(Runtime& runtime, ParameterSet& parameters, DType dtype)
    : runtime_(runtime), parameters_(parameters), dtype_(dtype) {}

Tape::~Tape() = default;

Variable Tape::buffer(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c,
                      BufferOptions options) {
  MSD_CHECK(!compiled_, "Tape::buffer after compile");
  MSD_CHECK(n > 0 && h > 0 && w > 0 && c > 0, "Tape::buffer of [", n, ",", h, ",", w, ",", c, "]");
  ActivationBuffer buffer;
  buffer.value = {nullptr, dtype_, n, h, w, c, row_pitch(c, dtype_)};
  buffer.gradient = buffer.value;
  buffer.options = options;
  buffers_.push_back(buffer);
  return {static_cast<std::int32_t>(buffers_.size()) - 1, 0, c};
}

View Tape::shape(Variable v) const {
  View view = buffers_.at(static_cast<std::size_t>(v.buffer)).value;
  view.c = v.channels;
  return view;
}

View Tape::value(Variable v) const {
  return buffers_.at(static_cast<std::size_t>(v.buffer)).value.channels(v.first, v.channels);
}

View Tape::gradient(Variable v) const {
  return buffers_.at(static_cast<std::size_t>(v.buffer)).gradient.channels(v.first, v.channels);
}

void Tape::find_gradients() {
  std::vector<Coverage> coverage(buffers_.size());
  zeroed_.resize(nodes_.size());
  const auto of = [&](const Variable& v) -> Coverage& {
    return coverage[static_cast<std::size_t>(v.buffer)];
  };
  const auto range = [](const Variable& v) { return ChannelRange{v.first, v.first + v.channels}; };
  const auto zero = [&](std::size_t node, const Variable& v,
                        const std::vector<ChannelRange>& gaps) {
    for (const ChannelRange& gap : gaps) {
      zeroed_[node].push_back({v.buffer, gap.first, gap.end - gap.first});
      of(v).add(gap);
    }
  };
  const auto visit = [&](std::size_t i) {
    Node& node = *nodes_[i];
    for (std::size_t p = 0; p < node.problems.size(); ++p) {
      Node::Problem& problem = node.problems[p];
      if (node.is_root()) {
        problem.active = true;
      } else {
        const std::vector<ChannelRange> gaps = of(problem.output).missing(range(problem.output));
        problem.active = !(gaps.size() == 1 && gaps[0].first == problem.output.first &&
                           gaps[0].end == problem.output.first + problem.output.channels);
        if (problem.active) zero(i, problem.output, gaps);
      }
      if (!problem.active) {
        for (const ParameterSet::Id id : node.parameters(p)) {
          parameters_.set_has_gradient(id, false);
        }
        continue;
      }
      const auto& input = buffers_[static_cast<std::size_t>(problem.input.buffer)];
      problem.wants_input_gradient = input.options.requires_gradient;
      if (!problem.wants_input_gradient) continue;
      const ChannelRange wanted = range(problem.input);
      const std::vector<ChannelRange> gaps = of(problem.input).missing(wanted);
      const bool untouched =
          gaps.size() == 1 && gaps[0].first == wanted.first && gaps[0].end == wanted.end;
      problem.accumulate = !untouched;
      if (problem.accumulate) {
        MSD_CHECK(!node.is_root(), "two losses share a part of their logits");
        MSD_CHECK(!input.options.gradient_in_place, "a gradient in place has two readers");
        zero(i, problem.input, gaps);
      }
      of(problem.input).add(wanted);
      for (std::size_t q = 0; q < p; ++q) {
        const Node::Problem& earlier = node.problems[q];
        if (earlier.active && earlier.wants_input_gradient &&
            overlap(earlier.input, problem.input)) {
          problem.wave = std::max(problem.wave, earlier.wave + 1);
        }
      }
    }
  };
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (nodes_[i]->is_root()) visit(i);
  }
  for (std::size_t i = nodes_.size(); i-- > 0;) {
    if (!nodes_[i]->is_root()) visit(i);
  }
}

// After node i's backward, what lies behind the parameters of all nodes before it.
void Tape::find_ready_ranges() {
  std::int64_t end = 0;
  for (const std::unique_ptr<Node>& node : nodes_) {
    ready_from_.push_back(end);
    for (std::size_t p = 0; p < node->problems.size(); ++p) {
      for (const ParameterSet::Id id : node->parameters(p)) {
        end = std::max(end, parameters_.flat_end(id));
      }
    }
  }
}

void Tape::lay_out() {
  const auto count = static_cast<std::int64_t>(nodes_.size());
  const std::int64_t last_step = 2 * count - 1;
  // Of each buffer its value's and its gradient's, then the nodes' scratch.
  std::vector<MemoryRequest> requests(2 * buffers_.size());
  const auto value_of = [&](const Variable& v) -> MemoryRequest& {
    return requests[2 * static_cast<std::size_t>(v.buffer)];
  };
  const auto gradient_of = [&](const Variable& v) -> MemoryRequest& {
    return requests[2 * static_cast<std::size_t>(v.buffer) + 1];
  };
  std::vector<std::vector<std::size_t>> scratch(nodes_.size());  // requests, a node
  for (std::int64_t i = 0; i < count; ++i) {
    const Node& node = *nodes_[static_cast<std::size_t>(i)];
    const std::int64_t backward = node.is_root() ? i : last_step - i;
    for (const Node::Problem& problem : node.problems) {
      value_of(problem.input).touch(i);
      if (problem.active && node.backward_reads_input()) value_of(problem.input).touch(backward);
      if (!node.is_root()) value_of(problem.output).touch(i);
      if (!problem.active) continue;
      if (problem.wants_input_gradient) gradient_of(problem.input).touch(backward);
      if (!node.is_root()) gradient_of(problem.output).touch(backward);
    }
    for (const ScratchRequest& wanted : node.scratch(*this)) {
      scratch[static_cast<std::size_t>(i)].push_back(requests.size());
      requests.push_back(memory_request(wanted, i, last_step - i));
    }
  }
  for (std::size_t b = 0; b < buffers_.size(); ++b) {
    const ActivationBuffer& buffer = buffers_[b];
    MemoryRequest &value = requests[2 * b], &gradient = requests[2 * b + 1];
    value.bytes = gradient.bytes =
        buffer.value.rows() * buffer.value.pitch * size_bytes(buffer.value.dtype);
    if (buffer.options.gradient_in_place && gradient.used()) {
      value.touch(gradient.first);
      value.touch(gradient.last);
      gradient = {};
    }
    if (buffer.options.keep || !value.used()) {
      value.first = 0;
      value.last = last_step;
    }
  }
  const MemoryLayout layout = lay_out_memory(requests);
  arena_ = Buffer(runtime_.allocator(), layout.total_bytes);
  const auto address = [&](std::size_t request) { return arena_.data() + layout.offsets[request]; };
  for (std::size_t b = 0; b < buffers_.size(); ++b) {
    buffers_[b].value.data = address(2 * b);
    buffers_[b].gradient.data = address(requests[2 * b + 1].used() ? 2 * b + 1 : 2 * b);
  }
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    std::vector<std::byte*> pointers;
    for (const std::size_t request : scratch[i]) pointers.push_back(address(request));
    nodes_[i]->bind(*this, pointers);
  }
  zero_args_.resize(nodes_.size());
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    for (const Variable& v : zeroed_[i]) zero_args_[i].push_back({gradient(v), 0.0});
  }
}

void Tape::compile() {
  MSD_CHECK(!compiled_, "Tape::compile twice");
  find_gradients();
  find_ready_ranges();
  lay_out();
  compiled_ = true;
}

void Tape::forward() {
  MSD_CHECK(compiled_, "Tape::forward before compile");
  for (const std::unique_ptr<Node>& node : nodes_) node->forward(runtime_.context());
}

void Tape::backward(const GradientReady& ready) {
  MSD_CHECK(compiled_, "Tape::backward before compile");
  std::int64_t announced = parameters_.flat_elems();
  for (std::size_t i = nodes_.size(); i-- > 0;) {
    if (!zero_args_[i].empty()) fill(runtime_.context(), zero_args_[i]);
    if (!nodes_[i]->is_root()) nodes_[i]->backward(runtime_.context());
    if (!ready || ready_from_[i] >= announced) continue;
    ready(ready_from_[i], announced);
    announced = ready_from_[i];
  }
}

}  // namespace msd
