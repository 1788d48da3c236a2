// SPDX-License-Identifier: MIT
#include "models/exits/confidence_reader.h"

#include <algorithm>

namespace msd {
namespace {

std::int64_t after(std::int64_t offset, std::int64_t bytes) {
  return round_up(offset + bytes, Allocator::kAlignment);
}

}  // namespace

ConfidenceReader::ConfidenceReader(Runtime& runtime, std::int64_t max_batch, std::int64_t classes,
                                   DType dtype)
    : runtime_(runtime),
      dtype_(dtype),
      probabilities_{nullptr, dtype, max_batch, 1, 1, classes, row_pitch(classes, dtype)},
      argmax_offset_(after(0, max_batch * size_bytes(accumulator_of(dtype)))),
      top_offset_(after(argmax_offset_, max_batch * size_bytes(DType::i32))),
      probabilities_offset_(after(top_offset_, max_batch * kTop * size_bytes(DType::i32))),
      results_(runtime.allocator(),
               probabilities_offset_ + max_batch * probabilities_.pitch * size_bytes(dtype)) {
  probabilities_.data = results_.data() + probabilities_offset_;
  if (!runtime.allocator().on_host()) {
    copy_.resize(static_cast<std::size_t>(results_.size_bytes()));
  }
  host_ = copy_.empty() ? results_.data() : copy_.data();
}

void ConfidenceReader::read(const ConstView& logits) {
  MSD_CHECK(logits.n <= probabilities_.n, logits.n, " samples for a reader of ", probabilities_.n);
  SoftmaxConfidenceArgs args;
  args.logits = logits;
  args.probabilities = probabilities_;
  args.probabilities.n = logits.n;
  args.max = results_.data();
  args.argmax = reinterpret_cast<std::int32_t*>(results_.data() + argmax_offset_);
  args.top5 = reinterpret_cast<std::int32_t*>(results_.data() + top_offset_);
  softmax_confidence(runtime_.context(), {&args, 1});
  if (copy_.empty()) return;
  const std::int64_t used =
      probabilities_offset_ + logits.n * probabilities_.pitch * size_bytes(dtype_);
  runtime_.allocator().copy(copy_.data(), results_.data(), used);
}

double ConfidenceReader::confidence(std::int64_t sample) const {
  return load_element(host_, accumulator_of(dtype_), sample);
}

double ConfidenceReader::probability(std::int64_t sample, std::int64_t label) const {
  return load_element(host_ + probabilities_offset_, dtype_, sample * probabilities_.pitch + label);
}

void likeliest_classes(std::span<const double> probabilities, std::span<std::int32_t> out) {
  std::fill(out.begin(), out.end(), -1);
  std::int32_t* const first = out.data();
  std::size_t used = 0;
  for (std::size_t i = 0; i < probabilities.size(); ++i) {
    std::size_t at = used;
    while (at > 0 && probabilities[i] > probabilities[static_cast<std::size_t>(out[at - 1])]) --at;
    if (at == out.size()) continue;
    used = std::min(used + 1, out.size());
    std::copy_backward(first + at, first + used - 1, first + used);
    out[at] = static_cast<std::int32_t>(i);
  }
}

}  // namespace msd
