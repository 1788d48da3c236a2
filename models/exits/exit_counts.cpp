// SPDX-License-Identifier: MIT
#include "models/exits/exit_counts.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/files/json_text.h"

namespace msd {

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

}  // namespace msd
