// SPDX-License-Identifier: MIT
#include "engine/tape.h"

#include <algorithm>

#include "engine/memory_plan.h"

namespace msd {
namespace {

struct Range {
  std::int64_t first, end;
};

bool overlap(const Variable& a, const Variable& b) {
  return a.buffer == b.buffer && a.first < b.first + b.channels && b.first < a.first + a.channels;
}

}  // namespace

// Which channels of a gradient buffer have been written so far in the order of backward.
class Tape::Coverage {
 public:
  /// The parts of [first, end) not written yet.
  std::vector<Range> missing(Range wanted) const {
    std::vector<Range> gaps;
    std::int64_t at = wanted.first;
    for (const Range& r : written_) {
      if (r.end <= at) continue;
      if (r.first >= wanted.end) break;
      if (r.first > at) gaps.push_back({at, r.first});
      at = std::max(at, r.end);
    }
    if (at < wanted.end) gaps.push_back({at, wanted.end});
    return gaps;
  }

  void add(Range range) {
    written_.push_back(range);
    std::sort(written_.begin(), written_.end(),
              [](const Range& a, const Range& b) { return a.first < b.first; });
    std::vector<Range> merged;
    for (const Range& r : written_) {
      if (!merged.empty() && r.first <= merged.back().end) {
        merged.back().end = std::max(merged.back().end, r.end);
      } else {
        merged.push_back(r);
      }
    }
    written_ = std::move(merged);
  }

 private:
  std::vector<Range> written_;  // disjoint, rising
};

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
  const auto range = [](const Variable& v) { return Range{v.first, v.first + v.channels}; };
  const auto zero = [&](std::size_t node, const Variable& v, const std::vector<Range>& gaps) {
    for (const Range& gap : gaps) {
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
        const std::vector<Range> gaps = of(problem.output).missing(range(problem.output));
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
      const Range wanted = range(problem.input);
      const std::vector<Range> gaps = of(problem.input).missing(wanted);
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

void Tape::plan() {
  const auto count = static_cast<std::int64_t>(nodes_.size());
  const std::int64_t last_step = 2 * count - 1;
  const auto bytes = [&](const View& v) { return v.rows() * v.pitch * size_bytes(dtype_); };
  struct Life {
    std::int64_t first = -1, last = -1;
    void touch(std::int64_t step) {
      first = first < 0 ? step : std::min(first, step);
      last = std::max(last, step);
    }
  };
  std::vector<Life> values(buffers_.size()), gradients(buffers_.size());
  struct Scratch {
    std::size_t node;
    ScratchRequest request;
  };
  std::vector<Scratch> scratch;
  for (std::int64_t i = 0; i < count; ++i) {
    const Node& node = *nodes_[static_cast<std::size_t>(i)];
    const std::int64_t backward = node.is_root() ? i : last_step - i;
    for (const Node::Problem& problem : node.problems) {
      Life& input = values[static_cast<std::size_t>(problem.input.buffer)];
      input.touch(i);
      if (problem.active && node.backward_reads_input()) input.touch(backward);
      if (!node.is_root()) values[static_cast<std::size_t>(problem.output.buffer)].touch(i);
      if (!problem.active) continue;
      if (problem.wants_input_gradient) {
        gradients[static_cast<std::size_t>(problem.input.buffer)].touch(backward);
      }
      if (!node.is_root())
        gradients[static_cast<std::size_t>(problem.output.buffer)].touch(backward);
    }
    for (const ScratchRequest& request : node.scratch(*this)) {
      scratch.push_back({static_cast<std::size_t>(i), request});
    }
  }
  std::vector<MemoryRequest> requests;
  std::vector<std::size_t> value_request(buffers_.size()), gradient_request(buffers_.size());
  for (std::size_t b = 0; b < buffers_.size(); ++b) {
    ActivationBuffer& buffer = buffers_[b];
    Life value = values[b];
    if (buffer.options.gradient_in_place && gradients[b].last >= 0) {
      value.touch(gradients[b].first);
      value.touch(gradients[b].last);
    }
    if (buffer.options.keep || value.first < 0) value = {0, last_step};
    value_request[b] = requests.size();
    gradient_request[b] = requests.size();
    requests.push_back({bytes(buffer.value), value.first, value.last});
    if (gradients[b].last >= 0 && !buffer.options.gradient_in_place) {
      gradient_request[b] = requests.size();
      requests.push_back({bytes(buffer.value), gradients[b].first, gradients[b].last});
    }
  }
  const std::size_t first_scratch = requests.size();
  for (const Scratch& s : scratch) {
    using Phase = ScratchRequest::Phase;
    const auto forward = static_cast<std::int64_t>(s.node), backward = last_step - forward;
    const Phase phase = s.request.phase;
    const std::int64_t last = phase == Phase::forward           ? forward
                              : phase == Phase::forward_to_next ? forward + 1
                                                                : backward;
    requests.push_back({s.request.bytes, phase == Phase::backward ? backward : forward, last});
  }
  const MemoryPlan plan = plan_memory(requests);
  arena_ = Buffer(runtime_.allocator(), plan.total_bytes);
  const auto address = [&](std::size_t request) { return arena_.data() + plan.offsets[request]; };
  for (std::size_t b = 0; b < buffers_.size(); ++b) {
    buffers_[b].value.data = address(value_request[b]);
    buffers_[b].gradient.data = address(gradient_request[b]);
  }
  std::vector<std::vector<std::byte*>> scratch_pointers(nodes_.size());
  for (std::size_t s = 0; s < scratch.size(); ++s) {
    scratch_pointers[scratch[s].node].push_back(address(first_scratch + s));
  }
  for (std::size_t i = 0; i < nodes_.size(); ++i) nodes_[i]->bind(*this, scratch_pointers[i]);
  zero_args_.resize(nodes_.size());
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    for (const Variable& v : zeroed_[i]) zero_args_[i].push_back({gradient(v), 0.0});
  }
}

void Tape::compile() {
  MSD_CHECK(!compiled_, "Tape::compile twice");
  find_gradients();
  find_ready_ranges();
  plan();
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
