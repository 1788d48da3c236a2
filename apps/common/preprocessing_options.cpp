// SPDX-License-Identifier: MIT
#include "apps/common/preprocessing_options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string_view>

#include "data/catalog.h"
#include "engine/files/file.h"
#include "engine/files/json_text.h"
#include "kernels/check.h"

namespace msd {
namespace {

std::optional<std::array<double, 3>> three_numbers(std::string_view text) {
  std::array<double, 3> values{};
  const char* at = text.data();
  const char* end = at + text.size();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto [next, error] = std::from_chars(at, end, values[i]);
    const bool is_last = i + 1 == values.size();
    if (error != std::errc() || (is_last ? next != end : next == end || *next != ',')) return {};
    at = is_last ? next : next + 1;
  }
  return values;
}

std::string problem_of_three(const std::string& text) {
  return three_numbers(text) ? ""
                             : text +
                                   " is not three numbers, of red, green and blue, with commas "
                                   "between them, as 0.485,0.456,0.406";
}

std::string normalization_names() {
  std::string names;
  for (const NamedNormalization& named : normalizations()) {
    names += (names.empty() ? "" : ", ") + std::string(named.name);
  }
  return names;
}

}  // namespace

void PreprocessingOptions::add_to(CommandLine& line, bool with_class_names) {
  line_ = &line;
  const std::string group =
      with_class_names ? "Images (defaults: as the weights' file says, or usual for its kind)"
                       : "Images (defaults: usual for the network's kind; mean and deviation are "
                         "the data's)";
  resize_option_ = line.option("--resize", resize_,
                               "Pictures of any size: pixels of the shorter side before the crop")
                       .range(1, ImageFit::kLargest)
                       .group(group);
  crop_option_ = line.option("--crop", crop_,
                             "Then height and width taken from the middle: those of the network's "
                             "input, --image-size")
                     .range(1, ImageFit::kLargest)
                     .group(group);
  std::vector<std::string> known;
  for (const Interpolation each : interpolations()) known.emplace_back(name(each));
  interpolation_option_ = line.option("--interpolation", interpolation_, "How they are resized")
                              .one_of(known)
                              .group(group);
  known.clear();
  for (const NamedNormalization& each : normalizations()) known.emplace_back(each.name);
  normalise_option_ = line.option("--normalise", normalise_,
                                  "Mean and deviation by a name: those that the public "
                                  "implementations have for " +
                                      normalization_names())
                          .one_of(known)
                          .group(group);
  mean_option_ =
      line.option("--mean", mean_,
                  "Subtracted from red, green and blue, as 0.485,0.456,0.406: the numbers of "
                  "--mean and --std are all at most 1 (shares of 255) or all above 1 (grey levels)")
          .check(problem_of_three)
          .excludes(normalise_option_)
          .group(group);
  std_option_ =
      line.option("--std", std_, "What they are divided by then, in the same unit as --mean")
          .check(problem_of_three)
          .excludes(normalise_option_)
          .needs(mean_option_)
          .group(group);
  mean_option_.needs(std_option_);
  if (!with_class_names) return;
  class_names_option_ =
      line.option("--class-names", class_names_,
                  "File with the names of the network's classes, one a line, in their order")
          .group(group);
}

PreprocessingHints PreprocessingOptions::hints() const {
  PreprocessingHints hints;
  if (resize_option_.given()) hints.resize = resize_;
  if (crop_option_.given()) hints.crop = crop_;
  if (interpolation_option_.given()) hints.interpolation = interpolation_named(interpolation_);
  if (normalise_option_.given()) hints.set_normalization(normalise_);
  if (mean_option_.given() && std_option_.given()) {
    try {
      hints.set_normalization(three_numbers(mean_).value(), three_numbers(std_).value());
    } catch (const ConfigError& error) {
      throw UsageError(message("--mean and --std: ", error.what()));
    }
  }
  return hints;
}

bool PreprocessingOptions::says_fit() const {
  return resize_option_.given() || crop_option_.given() || interpolation_option_.given();
}

bool PreprocessingOptions::given() const { return !hints().empty() || class_names_option_.given(); }

std::vector<std::string> PreprocessingOptions::class_names(std::int64_t classes) const {
  if (!class_names_option_.given()) return {};
  std::string text = read_text_file(class_names_);
  if (text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);  // a byte order mark
  std::vector<std::string> names;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string name = text.substr(at, end - at);
    if (name.ends_with('\r')) name.pop_back();
    at = end + 1;
    names.push_back(std::move(name));
    if (names.back().empty() || !is_utf8(names.back())) {
      throw FormatError(message("--class-names ", class_names_, ": line ", names.size(),
                                names.back().empty() ? " is empty" : " is not UTF-8",
                                "; it is a text file with a name a line"));
    }
  }
  if (static_cast<std::int64_t>(names.size()) != classes) {
    throw FormatError(message("--class-names ", class_names_, " has ", names.size(),
                              " names, and the network ", classes, " classes"));
  }
  return names;
}

void PreprocessingOptions::require_effect_on(const std::string& dataset) const {
  const DatasetRow* row = find_dataset(dataset);
  if (!says_fit() || row == nullptr || row->resizes) return;
  throw ConfigError("--resize, --crop and --interpolation are for pictures in files; those of " +
                    dataset + " are taken as they are");
}

std::vector<std::string> PreprocessingOptions::names() {
  return {"--resize", "--crop",      "--interpolation", "--mean",
          "--std",    "--normalise", "--class-names"};
}

}  // namespace msd
