// SPDX-License-Identifier: MIT
#include "models/exits/thresholds_file.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>

#include "engine/files/file.h"
#include "engine/files/json_text.h"
#include "kernels/check.h"
#include "models/network/cost.h"

namespace msd {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::string_view kThresholdsFormat = "msd-thresholds-1";

void require_sound(bool condition, const std::string& what) {
  if (!condition) throw FormatError(what);
}

ordered_json point_json(const BudgetPoint& point) {
  ordered_json thresholds = ordered_json::array();
  for (const float t : point.thresholds) {
    // JSON has no infinity.
    thresholds.push_back(std::isinf(t) ? ordered_json() : ordered_json(t));
  }
  return {{"p", point.p},
          {"thresholds", thresholds},
          {"expected_mul_adds", point.expected_mul_adds},
          {"holdout_accuracy", point.holdout_accuracy},
          {"holdout_shares", point.holdout_shares},
          {"accuracy", point.accuracy},
          {"mean_mul_adds", point.mean_mul_adds},
          {"mean_ops", point.mean_ops},
          {"shares", point.shares}};
}

double number(const json& value, const std::string& key, double least, double most) {
  const json& found = value.at(key);
  require_sound(found.is_number(), message(key, " is ", found.dump(), ", no number"));
  const double x = found.get<double>();
  require_sound(x >= least && x <= most,
                message(key, " is ", x, "; it lies between ", least, " and ", most));
  return x;
}

void require_count(const json& values, const std::string& key, std::size_t exits) {
  require_sound(values.is_array() && values.size() == exits,
                message(key, " has ", values.is_array() ? values.size() : 0, " values for ", exits,
                        " exits"));
}

std::vector<double> parse_shares(const json& point, const std::string& key, std::size_t exits) {
  require_count(point.at(key), key, exits);
  std::vector<double> shares = point.at(key).get<std::vector<double>>();
  double sum = 0.0;
  for (const double share : shares) {
    require_sound(share >= 0.0 && share <= 1.0, message(key, " holds ", share, ", no share"));
    sum += share;
  }
  require_sound(std::abs(sum - 1.0) <= 1e-6, message(key, " sum to ", sum, ", not to 1"));
  return shares;
}

Thresholds parse_thresholds(const json& values, std::size_t exits) {
  require_count(values, "thresholds", exits);
  Thresholds thresholds;
  for (const json& value : values) {
    const float t = value.is_null() ? std::numeric_limits<float>::infinity() : value.get<float>();
    require_sound(t >= 0.0f, message("a threshold is ", t, "; confidences start at 0"));
    thresholds.push_back(t);
  }
  require_sound(thresholds.back() == 0.0f, "the last exit's threshold is not 0: it takes all");
  return thresholds;
}

BudgetPoint parse_point(const json& value, const std::vector<std::int64_t>& costs,
                        const std::vector<std::int64_t>& ops) {
  constexpr double kMost = std::numeric_limits<double>::max();
  // A mean lies between the first and the last exit's cost, up to rounding.
  const auto cost = [&](const char* key, const std::vector<std::int64_t>& of) {
    return number(value, key, static_cast<double>(of.front()) * (1 - 1e-9),
                  static_cast<double>(of.back()) * (1 + 1e-9));
  };
  BudgetPoint point;
  point.p = number(value, "p", std::numeric_limits<double>::min(), kMost);
  point.thresholds = parse_thresholds(value.at("thresholds"), costs.size());
  point.expected_mul_adds = cost("expected_mul_adds", costs);
  point.holdout_accuracy = number(value, "holdout_accuracy", 0.0, 1.0);
  point.holdout_shares = parse_shares(value, "holdout_shares", costs.size());
  point.accuracy = number(value, "accuracy", 0.0, 1.0);
  point.mean_mul_adds = cost("mean_mul_adds", costs);
  point.mean_ops = cost("mean_ops", ops);
  point.shares = parse_shares(value, "shares", costs.size());
  return point;
}

ImagesUsed parse_images(const json& value) {
  ImagesUsed images;
  images.dataset = value.at("dataset").get<std::string>();
  images.part = value.at("part").get<std::string>();
  read_member(value, "samples", images.samples);
  require_sound(images.samples >= 1, message("samples is ", images.samples));
  return images;
}

ThresholdsFile parse(const json& value) {
  require_sound(value.is_object(), "is no JSON object");
  const auto format = value.value("format", std::string("missing"));
  require_sound(format == kThresholdsFormat,
                message("format is ", format, "; this program reads ", kThresholdsFormat));
  ThresholdsFile file;
  file.model = value.at("model").get<std::string>();
  file.checkpoint = value.at("checkpoint").get<std::string>();
  file.config = value.at("config").get<MsdnetConfig>();
  const json& fitted = value.at("fitted_on");
  file.fitted_on = parse_images(fitted);
  file.fitted_fingerprint = fitted.at("fingerprint").get<std::string>();
  file.fitted_choice = fitted.at("choice");
  file.evaluated_on = parse_images(value.at("evaluated_on"));

  const json& costs = value.at("costs");
  read_member(costs, "mul_adds_lazy", file.mul_adds_lazy);
  read_member(costs, "ops", file.ops);
  std::vector<std::int64_t> mul_adds_lazy, ops;
  for (const ExitCost& cost : exit_costs(make_architecture(file.config))) {
    mul_adds_lazy.push_back(cost.mul_adds_lazy);
    ops.push_back(cost.ops);
  }
  require_sound(file.mul_adds_lazy == mul_adds_lazy && file.ops == ops,
                "costs are not those of its config; make it again with msd-eval --mode budget");

  const json& points = value.at("points");
  require_sound(points.is_array() && !points.empty(), "points is empty");
  for (const json& point : points) {
    try {
      file.points.push_back(parse_point(point, mul_adds_lazy, ops));
    } catch (const FormatError& error) {
      throw FormatError(message("point ", file.points.size() + 1, ": ", error.what()));
    }
    const std::size_t count = file.points.size();
    require_sound(count == 1 || file.points[count - 2].p < file.points[count - 1].p,
                  message("point ", count, ": p does not rise"));
  }
  return file;
}

}  // namespace

ordered_json thresholds_json(const ThresholdsFile& file) {
  const auto images = [](const ImagesUsed& used) {
    return ordered_json{{"dataset", used.dataset}, {"part", used.part}, {"samples", used.samples}};
  };
  ordered_json fitted = images(file.fitted_on);
  fitted["fingerprint"] = file.fitted_fingerprint;
  fitted["choice"] = *file.fitted_choice;
  ordered_json points = ordered_json::array();
  for (const BudgetPoint& point : file.points) points.push_back(point_json(point));
  return {{"format", kThresholdsFormat},
          {"model", file.model},
          {"checkpoint", file.checkpoint},
          {"config", json(file.config)},
          {"fitted_on", fitted},
          {"evaluated_on", images(file.evaluated_on)},
          {"costs", {{"mul_adds_lazy", file.mul_adds_lazy}, {"ops", file.ops}}},
          {"points", points}};
}

void write_thresholds(const std::filesystem::path& path, const ThresholdsFile& file) {
  write_file_atomically(path, printed_json(thresholds_json(file), 1) + "\n");
}

ThresholdsFile parse_thresholds_file(std::string_view text) {
  constexpr int kDeepest = 16;  // of the choice of images; the rest has 4
  try {
    return parse(parse_json(text, text.size(), kDeepest));
  } catch (const json::exception& error) {
    throw FormatError(message("no thresholds file: ", json_problem(error)));
  }
}

ThresholdsFile read_thresholds(const std::filesystem::path& path) {
  const std::string text = read_text_file(path);
  try {
    return parse_thresholds_file(text);
  } catch (const Error& error) {
    throw FormatError(message(path.string(), ": ", error.text()));
  }
}

void require_same_model(const ThresholdsFile& file, const std::filesystem::path& path,
                        const std::string& fingerprint, const MsdnetConfig& config,
                        const std::filesystem::path& weights) {
  if (file.model != fingerprint) {
    throw ConfigError(message(path.string(), " was fitted for the weights ", file.model, " (",
                              file.checkpoint, "), but ", weights.string(), " holds ", fingerprint,
                              "; fit it again with msd-eval --mode budget"));
  }
  if (file.config != config) {
    throw ConfigError(message(path.string(), " was fitted for the configuration ",
                              json(file.config).dump(), ", but ", weights.string(), " is run as ",
                              json(config).dump(), "; leave out the model options"));
  }
}

const BudgetPoint& point_for_budget(const ThresholdsFile& file, double mul_adds) {
  const BudgetPoint* best = nullptr;
  double smallest = std::numeric_limits<double>::infinity();
  for (const BudgetPoint& point : file.points) {
    smallest = std::min(smallest, point.expected_mul_adds);
    if (point.expected_mul_adds > mul_adds) continue;
    if (best == nullptr || point.expected_mul_adds > best->expected_mul_adds) best = &point;
  }
  if (best != nullptr) return *best;
  throw ConfigError(message("a budget of ", std::llround(mul_adds),
                            " mul-adds a sample is too small; the smallest these thresholds allow "
                            "is ",
                            std::llround(std::ceil(smallest))));
}

const BudgetPoint& point_for_p(const ThresholdsFile& file, double p) {
  for (const BudgetPoint& point : file.points) {
    if (std::abs(point.p - p) <= 1e-9) return point;
  }
  throw ConfigError(message("--p ", p, " was not fitted; the ", file.points.size(),
                            " points of these thresholds go from ", file.points.front().p, " to ",
                            file.points.back().p));
}

}  // namespace msd
