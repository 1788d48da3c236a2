// SPDX-License-Identifier: MIT
#include "engine/schedule.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>

#include "kernels/check.h"

namespace msd {

Schedule::Schedule(const ScheduleOptions& options, std::int64_t epochs,
                   std::int64_t steps_per_epoch)
    : options_(options), epochs_(epochs), steps_per_epoch_(steps_per_epoch) {
  const auto require = [](bool condition, const std::string& text) {
    if (!condition) throw ConfigError(text);
  };
  require(std::isfinite(options.lr) && options.lr > 0,
          message("--lr is ", options.lr, "; it must be positive"));
  require(std::isfinite(options.gamma) && options.gamma > 0,
          message("--lr-gamma is ", options.gamma, "; it must be positive"));
  require(epochs >= 1, message("--epochs is ", epochs, "; it must be at least 1"));
  require(steps_per_epoch >= 1,
          message("an epoch has ", steps_per_epoch, " steps; it needs at least one batch"));
  for (const double share : options.milestones) {
    require(share >= 0, message("--lr-milestones holds ", share, "; it must not be negative"));
  }
  require(
      std::isfinite(options.warmup_epochs) && options.warmup_epochs >= 0 &&
          options.warmup_epochs <= static_cast<double>(epochs),
      message("--warmup-epochs is ", options.warmup_epochs, "; it must be between 0 and ", epochs));
}

double Schedule::lr(std::int64_t epoch, std::int64_t step) const {
  const double done = static_cast<double>(epoch) +
                      static_cast<double>(step) / static_cast<double>(steps_per_epoch_);
  double lr = options_.lr;
  if (options_.kind == ScheduleKind::cosine) {
    const double progress = done / static_cast<double>(epochs_);
    lr *= 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
  } else {
    for (const double share : options_.milestones) {
      // 28 % of 25 epochs is 7, but 0.28 * 25 in double is a little more.
      const double first = share * static_cast<double>(epochs_) * (1.0 - 1e-12);
      if (static_cast<double>(epoch) >= first) lr *= options_.gamma;
    }
  }
  if (done < options_.warmup_epochs) {
    const double steps = options_.warmup_epochs * static_cast<double>(steps_per_epoch_);
    const double at = static_cast<double>(epoch * steps_per_epoch_ + step);
    lr *= std::min(1.0, (at + 1.0) / steps);
  }
  return lr;
}

std::vector<double> parse_milestones(std::string_view text, std::int64_t epochs) {
  std::vector<double> shares;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view item = text.substr(0, comma);
    const bool is_last = comma == std::string_view::npos;
    text = is_last ? std::string_view{} : text.substr(comma + 1);
    const bool percent = item.ends_with('%');
    const std::string_view digits = percent ? item.substr(0, item.size() - 1) : item;
    double value = 0;
    const auto [end, error] = std::from_chars(digits.begin(), digits.end(), value);
    if (error != std::errc() || end != digits.end() || !std::isfinite(value) || value < 0 ||
        (percent && value > 100) || (text.empty() && !is_last)) {
      throw ConfigError(message("milestones are percentages up to 100 or epochs, not \"",
                                printable(item), "\"; use a list like 50%,75% or 150,225"));
    }
    shares.push_back(percent ? value / 100.0 : value / static_cast<double>(epochs));
  }
  return shares;
}

}  // namespace msd
