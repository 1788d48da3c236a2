// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <vector>

namespace msd {

/// Accuracy, in [0, 1], of each exit over all samples.
struct AnytimeAccuracy {
  std::vector<double> top1, top5, ensemble_top1, ensemble_top5;
};

/// Sums over samples from which an epoch's figures are made; each vector has one value an exit.
/// Made by HostExitCounter from logits brought to the host, by DeviceExitCounter where ops run.
struct ExitCounts {
  std::int64_t samples = 0;
  std::vector<double> loss_sum;                                        // cross-entropy
  std::vector<std::int64_t> top1, top5, ensemble_top1, ensemble_top5;  // correct samples

  explicit ExitCounts(std::int64_t exits = 0);
  std::vector<double> mean_losses() const;
  AnytimeAccuracy accuracy() const;
};

void to_json(nlohmann::json& json, const ExitCounts& counts);
void from_json(const nlohmann::json& json, ExitCounts& counts);

}  // namespace msd
