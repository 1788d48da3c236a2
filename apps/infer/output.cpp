// SPDX-License-Identifier: MIT
#include "apps/infer/output.h"

#include <iomanip>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/files/json_text.h"
#include "kernels/check.h"
#include "models/inference/latency.h"

namespace msd {

using nlohmann::ordered_json;

namespace {

/// A path need not be UTF-8, which JSON is. What is not is replaced, and the bytes said beside it.
ordered_json json_of_input(const ordered_json& name) {
  ordered_json json = {{"input", name}};
  if (name.is_string() && !is_utf8(name.get<std::string>())) {
    std::ostringstream hex;
    hex << std::hex << std::setfill('0');
    for (const char byte : name.get<std::string>()) {
      hex << std::setw(2) << static_cast<int>(static_cast<unsigned char>(byte));
    }
    json["input_hex"] = hex.str();
  }
  return json;
}

}  // namespace

std::string text_of_input(const ordered_json& name) {
  return name.is_string() ? name.get<std::string>() : name.dump();
}

Summary::Summary(std::int64_t exits, double deadline_us)
    : left_at_(static_cast<std::size_t>(exits), 0),
      correct_at_(left_at_),
      deadline_us_(deadline_us) {}

void Summary::add(const Classification& result, std::optional<std::int32_t> label) {
  ++samples_;
  mul_adds_ += result.final.mul_adds;
  ++left_at_[static_cast<std::size_t>(result.final.exit)];
  microseconds_.push_back(result.final.microseconds);
  late_ += result.final.microseconds > deadline_us_;
  all_exits_ = all_exits_ || !result.exits.empty();
  if (!label) return;
  ++labelled_;
  correct_ += result.final.answer.prediction == *label;
  for (const Outcome& outcome : result.exits) {
    correct_at_[static_cast<std::size_t>(outcome.exit)] += outcome.answer.prediction == *label;
  }
}

Summary::Figures Summary::figures(double seconds) const {
  const auto samples = static_cast<double>(samples_);
  const auto share = [](std::int64_t part, std::int64_t whole) {
    return static_cast<double>(part) / static_cast<double>(whole);
  };
  Figures f;
  f.mean_mul_adds = static_cast<double>(mul_adds_) / samples;
  f.images_per_second = samples / seconds;
  f.median_us = quantile(microseconds_, 0.5);
  f.p95_us = quantile(microseconds_, 0.95);
  for (const std::int64_t count : left_at_) f.shares.push_back(share(count, samples_));
  if (deadline_us_ > 0) f.late_share = share(late_, samples_);
  if (labelled_ > 0) {
    f.accuracy = share(correct_, labelled_);
    for (const std::int64_t count : correct_at_) {
      if (all_exits_) f.exit_accuracy.push_back(share(count, labelled_));
    }
  }
  return f;
}

ordered_json Summary::json(double seconds, std::int64_t full_mul_adds) const {
  ordered_json json = {{"samples", samples_}, {"failed", failed_}};
  if (samples_ == 0) return json;
  const Figures f = figures(seconds);
  if (f.accuracy) json["accuracy"] = *f.accuracy;
  if (!f.exit_accuracy.empty()) json["exit_accuracy"] = f.exit_accuracy;
  json["mean_mul_adds"] = f.mean_mul_adds;
  json["full_mul_adds"] = full_mul_adds;
  json["mul_adds_share"] = f.mean_mul_adds / static_cast<double>(full_mul_adds);
  json["exit_shares"] = f.shares;
  json["images_per_second"] = f.images_per_second;
  json["median_us"] = f.median_us;
  json["p95_us"] = f.p95_us;
  if (f.late_share) json["late_share"] = *f.late_share;
  return json;
}

std::string Summary::text(double seconds, std::int64_t full_mul_adds) const {
  std::string text = message(samples_, samples_ == 1 ? " image" : " images");
  if (failed_ > 0) text += message(", ", failed_, " failed");
  if (samples_ == 0) return text + "\n";
  const Figures f = figures(seconds);
  if (f.accuracy) text += ", accuracy " + percent(*f.accuracy) + " %";
  text += ", mean mul-adds " + human_count(f.mean_mul_adds) + " (" +
          percent(f.mean_mul_adds / static_cast<double>(full_mul_adds)) +
          " % of the full network's " + human_count(static_cast<double>(full_mul_adds)) + ")\n";
  const auto exits = [&](const char* title, const std::vector<double>& shares) {
    text += title;
    for (std::size_t i = 0; i < shares.size(); ++i) {
      text += (i == 0 ? " " : ", ") + std::to_string(i + 1) + ": " + percent(shares[i]);
    }
    text += "\n";
  };
  exits("left at exit, %:", f.shares);
  if (!f.exit_accuracy.empty()) exits("accuracy of exit, %:", f.exit_accuracy);
  text += fixed(f.images_per_second, 1) + " images/s; latency median " +
          fixed(f.median_us / 1000, 3) + " ms, p95 " + fixed(f.p95_us / 1000, 3) + " ms";
  if (f.late_share) text += "; " + percent(*f.late_share) + " % after the deadline";
  return text + "\n";
}

std::string SamplePrinter::class_name(std::int32_t index) const {
  const auto i = static_cast<std::size_t>(index);
  return i < class_names_.size() ? class_names_[i] : std::to_string(index);
}

ordered_json SamplePrinter::json(const Outcome& outcome, std::optional<std::int32_t> label) const {
  ordered_json classes = ordered_json::array();
  for (const ClassProbability& c : outcome.classes) {
    classes.push_back(
        {{"class", c.index}, {"name", class_name(c.index)}, {"probability", c.probability}});
  }
  ordered_json json = {{"exit", outcome.exit + 1},
                       {"confidence", outcome.answer.confidence},
                       {"classes", classes},
                       {"mul_adds", outcome.mul_adds},
                       {"microseconds", outcome.microseconds}};
  if (label) {
    json["label"] = *label;
    json["correct"] = outcome.answer.prediction == *label;
  }
  return json;
}

void SamplePrinter::add_row(const std::string& name, const Outcome& outcome,
                            std::optional<std::int32_t> label) {
  std::string others;
  for (std::size_t i = 1; i < outcome.classes.size(); ++i) {
    const ClassProbability& c = outcome.classes[i];
    others += (i == 1 ? "" : ", ") + class_name(c.index) + " " + fixed(c.probability, 2);
  }
  std::string truth = "-";
  if (label) truth = class_name(*label) + (outcome.answer.prediction == *label ? "" : " (wrong)");
  table_.add_row({name, std::to_string(outcome.exit + 1), class_name(outcome.answer.prediction),
                  fixed(static_cast<double>(outcome.answer.confidence), 4), others,
                  human_count(static_cast<double>(outcome.mul_adds)),
                  fixed(outcome.microseconds / 1000, 3), truth});
}

void SamplePrinter::print(const ordered_json& name, const Classification& result,
                          std::optional<std::int32_t> label) {
  if (style_ == Style::json) {
    ordered_json line = json_of_input(name);
    line.update(json(result.final, label));
    for (const Outcome& outcome : result.exits) line["exits"].push_back(json(outcome, label));
    std::cout << printed_json(line) << '\n';
  } else if (style_ == Style::table) {
    const std::string text = text_of_input(name);
    if (result.exits.empty()) add_row(text, result.final, label);
    for (const Outcome& outcome : result.exits) add_row(text, outcome, label);
  }
}

void SamplePrinter::print_failed(const ordered_json& name, const std::string& error) {
  ++failed_;
  const std::string text = text_of_input(name);
  const std::string path = one_line(text) + ": ";  // as an error begins
  const std::string why = error.substr(error.starts_with(path) ? path.size() : 0);
  switch (style_) {
    case Style::json: {
      ordered_json line = json_of_input(name);
      line["error"] = why;
      std::cout << printed_json(line) << '\n';
      break;
    }
    case Style::table:
      table_.add_row({text, "failed: " + why});
      break;
    case Style::none:
      if (failed_ <= kMostFailures) std::cout << "failed: " << path << why << '\n';
      break;
  }
}

void SamplePrinter::finish() const {
  if (style_ == Style::table) table_.print(std::cout);
  if (style_ == Style::none && failed_ > kMostFailures) {
    std::cout << "failed: " << failed_ - kMostFailures << " more; --verbose names them all\n";
  }
}

}  // namespace msd
