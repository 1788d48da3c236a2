// SPDX-License-Identifier: MIT
#include "engine/autograd/loss.h"

namespace msd {

void CrossEntropyNode::add(Variable logits, double weight) {
  problems.push_back({logits, Variable{}});
  weights_.push_back(weight);
}

void CrossEntropyNode::bind(const Tape& tape, const std::vector<std::byte*>&) {
  const std::int64_t loss_bytes = size_bytes(accumulator_of(tape.dtype()));
  for (std::size_t p = 0; p < problems.size(); ++p) {
    const Variable logits = problems[p].input;
    args_.push_back({tape.value(logits), labels_, weights_[p],
                     static_cast<std::byte*>(losses_) + static_cast<std::int64_t>(p) * loss_bytes,
                     tape.gradient(logits)});
  }
}

void CrossEntropyNode::forward(ExecutionContext& context) { softmax_cross_entropy(context, args_); }

}  // namespace msd
