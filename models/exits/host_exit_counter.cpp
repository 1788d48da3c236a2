// SPDX-License-Identifier: MIT
#include "models/exits/host_exit_counter.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace msd {
namespace {

constexpr std::int64_t kTop = ConfidenceReader::kTop;

}  // namespace

HostExitCounter::HostExitCounter(Runtime& runtime, std::int64_t exits, std::int64_t classes,
                                 std::int64_t max_batch, DType dtype)
    : exits_(exits),
      classes_(classes),
      max_batch_(max_batch),
      reader_(runtime, max_batch, classes, dtype) {
  const auto batch = static_cast<std::size_t>(max_batch);
  probability_sums_.resize(batch * static_cast<std::size_t>(classes));
  const std::size_t records = batch * static_cast<std::size_t>(exits);
  batch_.exits = exits;
  batch_.labels.reserve(batch);
  batch_.confidence.resize(records);
  batch_.prediction.resize(records);
  batch_.top5.resize(records);
  batch_.ensemble_prediction.resize(records);
  batch_.ensemble_top5.resize(records);
}

void HostExitCounter::begin(const std::int32_t* labels, std::int64_t n) {
  MSD_CHECK(n <= max_batch_, "a batch of ", n, " for a counter of ", max_batch_);
  batch_.labels.assign(labels, labels + n);
  std::fill(probability_sums_.begin(), probability_sums_.end(), 0.0);
  exit_ = 0;
}

void HostExitCounter::add(const ConstView& logits, ExitCounts& counts, ExitRecords* records) {
  const std::int64_t n = batch_.samples();
  MSD_CHECK(logits.n == n && logits.c == classes_ && exit_ < exits_, "logits ", logits, " of exit ",
            exit_, " for a batch of ", n);
  reader_.read(logits);

  const auto exit = static_cast<std::size_t>(exit_);
  for (std::int64_t s = 0; s < n; ++s) {
    const auto row = static_cast<std::size_t>(s);
    const std::int32_t label = batch_.labels[row];
    const std::size_t i = batch_.at(s, exit_);
    const std::int32_t* top = reader_.top(s);
    batch_.confidence[i] = static_cast<float>(reader_.confidence(s));
    batch_.prediction[i] = reader_.argmax(s);
    batch_.top5[i] = std::find(top, top + kTop, label) != top + kTop;
    double* sums = probability_sums_.data() + s * classes_;
    for (std::int64_t c = 0; c < classes_; ++c) sums[c] += reader_.probability(s, c);
    std::int32_t best[kTop];
    likeliest_classes({sums, static_cast<std::size_t>(classes_)}, best);
    batch_.ensemble_prediction[i] = best[0];
    batch_.ensemble_top5[i] = std::find(best, best + kTop, label) != best + kTop;
    if (label < 0 || label >= classes_) continue;
    // A probability that underflowed costs what the smallest float would.
    const double p = std::max(reader_.probability(s, label),
                              static_cast<double>(std::numeric_limits<float>::min()));
    counts.loss_sum[exit] -= std::log(p);
    counts.top1[exit] += batch_.prediction[i] == label;
    counts.top5[exit] += batch_.top5[i];
    counts.ensemble_top1[exit] += batch_.ensemble_prediction[i] == label;
    counts.ensemble_top5[exit] += batch_.ensemble_top5[i];
  }
  if (++exit_ < exits_) return;
  counts.samples += n;
  if (records != nullptr) records->append(batch_);
}

}  // namespace msd
