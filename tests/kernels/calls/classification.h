// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "tests/kernels/calls/memory.h"

namespace msd::calls {

struct LogitsShape {
  std::int64_t n, classes;
  Shape map() const { return {n, 1, 1, classes}; }
  std::string text() const { return message(n, " x ", classes, " classes"); }
};

/// A row's softmax in double and what follows from it.
struct SoftmaxRow {
  explicit SoftmaxRow(const std::vector<double>& z);
  std::vector<double> p;
  std::vector<int> order;  // falling, equals by rising index
  double lse, entropy;
};
/// The rows of packed logits.
std::vector<std::vector<double>> rows_of(const LogitsShape& s, const std::vector<double>& z);

double mean_cross_entropy(const LogitsShape& s, const std::vector<double>& z,
                          const std::vector<double>& labels);
/// dlogits.
std::vector<double> cross_entropy_gradient(const LogitsShape& s, const std::vector<double>& z,
                                           const std::vector<double>& labels, double weight);

struct Confidences {
  Confidences(const LogitsShape& s, const std::vector<double>& z);
  std::vector<double> probabilities, max, second, entropy, argmax, top5;
};

/// Logits, and what is of their shape, with a gap of its own.
template <typename Memory>
struct Logits {
  Logits(const LogitsShape& s, const Gaps& g, Memory m) : shape(s), gaps(g), memory(m) {}
  explicit Logits(const LogitsShape& s, Gap gap = {}, Memory m = {})
      : Logits(s, Gaps{gap, {gap.after, gap.before}}, m) {}
  LogitsShape shape;
  Gaps gaps;
  Memory memory;
  typename Memory::Rows logits = memory.rows(shape.map(), gaps.x, {1, -5.0, 5.0}),
                        result = memory.rows(shape.map(), gaps.y, {});
};

template <typename Memory>
struct SoftmaxCrossEntropy : Logits<Memory> {
  using Logits<Memory>::Logits;
  MSD_CALL(softmax_cross_entropy, loss, this->result)
  SoftmaxCrossEntropyArgs args() {
    return {this->logits.view(), labels.data(), weight, loss.data(), this->result.view()};
  }
  std::vector<double> expected_loss() const {
    return {mean_cross_entropy(this->shape, this->logits.doubles(), labels.doubles())};
  }
  double weight = 1.0;
  typename Memory::Values loss = this->memory.values(1, {});
  typename Memory::template Array<std::int32_t> labels = this->memory.template array<std::int32_t>(
      this->shape.n, whole(2, 0, static_cast<double>(this->shape.classes - 1)));
};

template <typename Memory>
struct SoftmaxConfidence : Logits<Memory> {
  using Logits<Memory>::Logits;
  using Labels = typename Memory::template Array<std::int32_t>;
  MSD_CALL(softmax_confidence, this->result, max, second, entropy, argmax, top5)
  SoftmaxConfidenceArgs args() {
    return {this->logits.view(), this->result.view(), max.data(), second.data(),
            entropy.data(),      argmax.data(),       top5.data()};
  }
  Confidences expected() const { return {this->shape, this->logits.doubles()}; }
  typename Memory::Values max = this->memory.values(this->shape.n, {}),
                          second = this->memory.values(this->shape.n, {}),
                          entropy = this->memory.values(this->shape.n, {});
  Labels argmax = this->memory.template array<std::int32_t>(this->shape.n, {}),
         top5 = this->memory.template array<std::int32_t>(5 * this->shape.n, {});
};

}  // namespace msd::calls
