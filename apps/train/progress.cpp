// SPDX-License-Identifier: MIT
#include "apps/train/progress.h"

#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "apps/common/table.h"
#include "kernels/check.h"

namespace msd {
namespace {

constexpr double kBarSeconds = 0.2, kLineSeconds = 30.0;
constexpr int kBarWidth = 24;

std::string joined(const nlohmann::json& shares) {
  std::string text;
  for (const nlohmann::json& share : shares) {
    text += (text.empty() ? "" : " ") + percent(share.get<double>());
  }
  return text;
}

}  // namespace

Progress::Style Progress::choose(bool json) {
  if (json) return Style::json;
  return isatty(STDOUT_FILENO) != 0 ? Style::bar : Style::lines;
}

void Progress::start_run(std::int64_t epochs, std::int64_t steps_per_epoch, std::int64_t epoch,
                         std::int64_t step) {
  epochs_ = epochs;
  steps_ = steps_per_epoch;
  first_ = epoch * steps_per_epoch + step;
}

void Progress::step(const Step& step) {
  if (style_ == Style::json) return;
  const double interval = style_ == Style::bar ? kBarSeconds : kLineSeconds;
  if (step.seconds - drawn_at_ < interval) return;
  drawn_at_ = step.seconds;
  draw(step);
}

void Progress::draw(const Step& step) const {
  const double done = static_cast<double>(step.step) / static_cast<double>(steps_);
  const std::int64_t run_done = step.epoch * steps_ + step.step - first_;
  const std::int64_t run_left = epochs_ * steps_ - step.epoch * steps_ - step.step;
  const double eta = (done_seconds_ + step.seconds) /
                     static_cast<double>(std::max<std::int64_t>(1, run_done)) *
                     static_cast<double>(run_left);
  double loss = 0.0;
  for (const double exit : step.counts.mean_losses()) loss += exit;
  std::string text = message("epoch ", step.epoch + 1, "/", epochs_, " ");
  if (style_ == Style::bar) {
    const int filled = static_cast<int>(done * kBarWidth);
    text += "[" + std::string(static_cast<std::size_t>(filled), '=') +
            std::string(static_cast<std::size_t>(kBarWidth - filled), ' ') + "] ";
  }
  text +=
      message(static_cast<int>(100.0 * done), "%  loss ", fixed(loss, 3), "  ",
              fixed(static_cast<double>(step.images) / step.seconds, 0), " images/s  data ",
              fixed(100.0 * step.wait_seconds / step.seconds, 0), "%  ETA ", human_duration(eta));
  if (style_ == Style::bar) {
    std::cout << '\r' << text << "\033[K" << std::flush;
  } else {
    std::cout << text << std::endl;
  }
}

void Progress::warn(const std::string& text) const {
  if (style_ == Style::bar) std::cout << "\r\033[K" << std::flush;
  std::cerr << "msd-train: warning: " << text << std::endl;
}

void Progress::finish_epoch(const nlohmann::json& line) {
  done_seconds_ += line.at("seconds").get<double>();
  drawn_at_ = 0.0;
  if (style_ == Style::json) {
    std::cout << line.dump() << std::endl;
    return;
  }
  if (style_ == Style::bar) std::cout << "\r\033[K";
  std::cout << "epoch " << line.at("epoch") << '/' << epochs_ << "  lr "
            << line.at("lr").get<double>() << "  "
            << fixed(line.at("images_per_second").get<double>(), 0) << " images/s  loss "
            << fixed(line.at("train").at("loss").get<double>(), 3)
            << "  top-1 % of each exit: train " << joined(line.at("train").at("top1"));
  for (const char* part : {"holdout", "test"}) {
    if (line.contains(part)) std::cout << " | " << part << ' ' << joined(line.at(part).at("top1"));
  }
  std::cout << std::endl;
}

}  // namespace msd
