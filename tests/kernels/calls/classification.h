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

template <typename Memory>
struct SoftmaxCrossEntropy {
  explicit SoftmaxCrossEntropy(const LogitsShape& s, Gap gap = {}, double of_loss = 1.0,
                               Memory memory = {})
      : SoftmaxCrossEntropy(s, gap, {gap.after, gap.before}, of_loss, memory) {}
  SoftmaxCrossEntropy(const LogitsShape& s, Gap gap, Gap dlogits_gap, double of_loss, Memory memory)
      : shape(s),
        weight(of_loss),
        logits(memory.rows(s.map(), gap, {1, -5.0, 5.0})),
        dlogits(memory.rows(s.map(), dlogits_gap, {})),
        loss(memory.values(1, {})),
        labels(memory.template array<std::int32_t>(
            s.n, whole(2, 0, static_cast<double>(s.classes - 1)))) {}
  static constexpr auto* op = &softmax_cross_entropy;
  static constexpr const char* kOutputs[] = {"loss", "dlogits"};
  SoftmaxCrossEntropyArgs args() {
    return {logits.view(), labels.data(), weight, loss.data(), dlogits.view()};
  }
  auto outputs() { return std::tie(loss, dlogits); }
  double expected_loss() const {
    return mean_cross_entropy(shape, logits.doubles(), labels.doubles());
  }
  LogitsShape shape;
  double weight;
  typename Memory::Rows logits, dlogits;
  typename Memory::Values loss;
  typename Memory::template Array<std::int32_t> labels;
};

struct Confidences {
  Confidences(const LogitsShape& s, const std::vector<double>& z);
  std::vector<double> probabilities, max, second, entropy, argmax, top5;
};

template <typename Memory>
struct SoftmaxConfidence {
  explicit SoftmaxConfidence(const LogitsShape& s, Gap gap = {}, Memory memory = {})
      : SoftmaxConfidence(s, gap, {gap.after, gap.before}, memory) {}
  SoftmaxConfidence(const LogitsShape& s, Gap gap, Gap probabilities_gap, Memory memory)
      : shape(s),
        logits(memory.rows(s.map(), gap, {1, -5.0, 5.0})),
        probabilities(memory.rows(s.map(), probabilities_gap, {})),
        max(memory.values(s.n, {})),
        second(memory.values(s.n, {})),
        entropy(memory.values(s.n, {})),
        argmax(memory.template array<std::int32_t>(s.n, {})),
        top5(memory.template array<std::int32_t>(5 * s.n, {})) {}
  static constexpr auto* op = &softmax_confidence;
  static constexpr const char* kOutputs[] = {"probabilities", "max",    "second",
                                             "entropy",       "argmax", "top5"};
  SoftmaxConfidenceArgs args() {
    return {logits.view(),  probabilities.view(), max.data(), second.data(),
            entropy.data(), argmax.data(),        top5.data()};
  }
  auto outputs() { return std::tie(probabilities, max, second, entropy, argmax, top5); }
  Confidences expected() const { return {shape, logits.doubles()}; }
  LogitsShape shape;
  typename Memory::Rows logits, probabilities;
  typename Memory::Values max, second, entropy;
  typename Memory::template Array<std::int32_t> argmax, top5;
};

}  // namespace msd::calls
