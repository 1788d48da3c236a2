// SPDX-License-Identifier: MIT
#include "models/exits/exit_recorder.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "engine/files/json_text.h"

namespace msd {
namespace {

constexpr std::int64_t kTop = ConfidenceReader::kTop;

}  // namespace

ExitCounts::ExitCounts(std::int64_t exits)
    : loss_sum(static_cast<std::size_t>(exits), 0.0),
      top1(static_cast<std::size_t>(exits), 0),
      top5(top1),
      ensemble_top1(top1),
      ensemble_top5(top1) {}

std::vector<double> ExitCounts::mean_losses() const {
  std::vector<double> losses = loss_sum;
  for (double& loss : losses) loss /= static_cast<double>(std::max<std::int64_t>(1, samples));
  return losses;
}

AnytimeAccuracy ExitCounts::accuracy() const {
  const auto shares = [&](const std::vector<std::int64_t>& counts) {
    std::vector<double> out;
    for (const std::int64_t count : counts) {
      out.push_back(static_cast<double>(count) /
                    static_cast<double>(std::max<std::int64_t>(1, samples)));
    }
    return out;
  };
  return {shares(top1), shares(top5), shares(ensemble_top1), shares(ensemble_top5)};
}

void to_json(nlohmann::json& json, const ExitCounts& c) {
  json = {{"samples", c.samples},
          {"loss_sum", c.loss_sum},
          {"top1", c.top1},
          {"top5", c.top5},
          {"ensemble_top1", c.ensemble_top1},
          {"ensemble_top5", c.ensemble_top5}};
}

void from_json(const nlohmann::json& json, ExitCounts& c) {
  read_member(json, "samples", c.samples);
  read_member(json, "loss_sum", c.loss_sum);
  read_member(json, "top1", c.top1);
  read_member(json, "top5", c.top5);
  read_member(json, "ensemble_top1", c.ensemble_top1);
  read_member(json, "ensemble_top5", c.ensemble_top5);
}

void largest(const double* values, std::int64_t size, std::int64_t count, std::int32_t* out) {
  std::fill(out, out + count, -1);
  std::int64_t used = 0;
  for (std::int64_t i = 0; i < size; ++i) {
    std::int64_t at = used;
    while (at > 0 && values[i] > values[out[at - 1]]) --at;
    if (at == count) continue;
    used = std::min(used + 1, count);
    std::copy_backward(out + at, out + used - 1, out + used);
    out[at] = static_cast<std::int32_t>(i);
  }
}

ExitRecorder::ExitRecorder(Runtime& runtime, std::int64_t exits, std::int64_t classes,
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

void ExitRecorder::begin(const std::int32_t* labels, std::int64_t n) {
  MSD_CHECK(n <= max_batch_, "a batch of ", n, " for a recorder of ", max_batch_);
  batch_.labels.assign(labels, labels + n);
  std::fill(probability_sums_.begin(), probability_sums_.end(), 0.0);
  exit_ = 0;
}

void ExitRecorder::add(const ConstView& logits, ExitCounts& counts, ExitRecords* records) {
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
    largest(sums, classes_, kTop, best);
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
  if (records != nullptr) append_batch(*records);
}

void ExitRecorder::append_batch(ExitRecords& records) const {
  const auto n = static_cast<std::ptrdiff_t>(batch_.samples() * exits_);
  records.exits = exits_;
  const auto append = [&](auto& to, const auto& from, std::ptrdiff_t count) {
    to.insert(to.end(), from.begin(), from.begin() + count);
  };
  append(records.labels, batch_.labels, static_cast<std::ptrdiff_t>(batch_.labels.size()));
  append(records.confidence, batch_.confidence, n);
  append(records.prediction, batch_.prediction, n);
  append(records.top5, batch_.top5, n);
  append(records.ensemble_prediction, batch_.ensemble_prediction, n);
  append(records.ensemble_top5, batch_.ensemble_top5, n);
}

}  // namespace msd
