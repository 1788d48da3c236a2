// SPDX-License-Identifier: MIT
#include "models/network/preprocessing.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "kernels/check.h"

namespace msd {
namespace {

constexpr Interpolation kInterpolations[] = {Interpolation::bilinear, Interpolation::bicubic,
                                             Interpolation::nearest};

// dataloader.py of kalviny/MSDNet-PyTorch; imagenet is torchvision's as well. gaohuang/MSDNet has
// the same numbers of CIFAR in grey levels, rounded to a tenth.
constexpr NamedNormalization kNormalizations[] = {
    {"imagenet", {0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}},
    {"cifar10", {0.4914, 0.4824, 0.4467}, {0.2471, 0.2435, 0.2616}},
    {"cifar100", {0.5071, 0.4867, 0.4408}, {0.2675, 0.2565, 0.2761}}};

constexpr double kGreyLevels = 255.0;
constexpr double kLeastDeviation = 1e-3;  // grey levels; less makes images that overflow

std::array<float, 3> grey_levels(const std::array<double, 3>& values, double unit) {
  std::array<float, 3> grey;
  std::transform(values.begin(), values.end(), grey.begin(),
                 [&](double value) { return static_cast<float>(value * unit); });
  return grey;
}

bool has_values(const Preprocessing& preprocessing, const NamedNormalization& named) {
  return preprocessing.mean == grey_levels(named.mean, kGreyLevels) &&
         preprocessing.std == grey_levels(named.std, kGreyLevels);
}

template <typename T>
std::string listed(const std::array<T, 3>& values) {
  return message(values[0], ",", values[1], ",", values[2]);
}

const NamedNormalization& usual_normalization(const MsdnetConfig& config) {
  switch (config.input_kind) {
    case InputKind::imagenet:
      return *find_normalization("imagenet");
    case InputKind::cifar:
      break;
  }
  return *find_normalization(config.classes == 100 ? "cifar100" : "cifar10");
}

ImageFit usual_fit(const MsdnetConfig& config) {
  ImageFit fit = whole_fit(config);
  switch (config.input_kind) {
    case InputKind::imagenet:
      fit.resize = config.image_size * 8 / 7;
      break;
    case InputKind::cifar:
      break;
  }
  return fit;
}

}  // namespace

std::string_view name(Interpolation interpolation) {
  switch (interpolation) {
    case Interpolation::nearest:
      return "nearest";
    case Interpolation::bilinear:
      return "bilinear";
    case Interpolation::bicubic:
      return "bicubic";
  }
  return "?";
}

Interpolation interpolation_named(std::string_view wanted) {
  for (const Interpolation known : kInterpolations) {
    if (name(known) == wanted) return known;
  }
  throw ConfigError(
      message("the interpolation ", wanted, " is unknown; use bilinear, bicubic or nearest"));
}

std::span<const Interpolation> interpolations() { return kInterpolations; }

void to_json(nlohmann::json& json, const ImageFit& fit) {
  json = {{"resize", fit.resize}, {"crop", fit.crop}, {"interpolation", name(fit.interpolation)}};
}

std::span<const NamedNormalization> normalizations() { return kNormalizations; }

const NamedNormalization* find_normalization(std::string_view wanted) {
  const auto* found = std::find_if(std::begin(kNormalizations), std::end(kNormalizations),
                                   [&](const auto& known) { return known.name == wanted; });
  return found == std::end(kNormalizations) ? nullptr : found;
}

void PreprocessingHints::set_normalization(std::string_view wanted) {
  const NamedNormalization* named = find_normalization(wanted);
  MSD_CHECK(named != nullptr, "a normalisation ", wanted);
  mean = grey_levels(named->mean, kGreyLevels);
  std = grey_levels(named->std, kGreyLevels);
}

void PreprocessingHints::set_normalization(const std::array<double, 3>& means,
                                           const std::array<double, 3>& deviations) {
  bool has_shares = false, has_levels = false;
  for (const std::array<double, 3>* values : {&means, &deviations}) {
    for (const double value : *values) {
      if (!(value >= 0.0 && value <= kGreyLevels)) {
        throw ConfigError(message("a normalisation by mean ", listed(means), " and deviation ",
                                  listed(deviations), ": ", value, " is not from 0 to 255"));
      }
      has_shares = has_shares || (value > 0.0 && value <= 1.0);
      has_levels = has_levels || value > 1.0;
    }
  }
  if (has_shares && has_levels) {
    throw ConfigError(message("a normalisation by mean ", listed(means), " and deviation ",
                              listed(deviations), ": some are above 1, as grey levels 0 to 255, ",
                              "and some are not, as shares of 255; give all six in one unit"));
  }
  const double unit = has_levels ? 1.0 : kGreyLevels;
  for (const double deviation : deviations) {
    if (deviation * unit >= kLeastDeviation) continue;
    throw ConfigError(message("a normalisation by deviation ", listed(deviations),
                              "; each is at least ", kLeastDeviation, " grey levels"));
  }
  mean = grey_levels(means, unit);
  std = grey_levels(deviations, unit);
}

ImageFit whole_fit(const MsdnetConfig& config) {
  return {config.image_size, config.image_size, Interpolation::bilinear};
}

Preprocessing usual_preprocessing(const MsdnetConfig& config, std::string_view dataset) {
  const NamedNormalization* named = find_normalization(dataset);
  if (named == nullptr) named = &usual_normalization(config);
  return {usual_fit(config), grey_levels(named->mean, kGreyLevels),
          grey_levels(named->std, kGreyLevels)};
}

Preprocessing with_hints(Preprocessing base, const PreprocessingHints& hints,
                         const MsdnetConfig& config) {
  const std::int64_t size = config.image_size;
  ImageFit& fit = base.fit;
  if (hints.crop.value_or(size) != size) {
    throw ConfigError(message(
        "a crop of ", *hints.crop, " pixels: the network takes images of ", size, "x", size,
        ", and the crop is what it sees; leave it out, or give ", "the network that image size"));
  }
  if (fit.crop != size) {
    fit.resize = std::max(size, fit.resize * size / std::max<std::int64_t>(1, fit.crop));
  }
  fit.crop = size;
  fit.resize = hints.resize.value_or(fit.resize);
  fit.interpolation = hints.interpolation.value_or(fit.interpolation);
  if (fit.resize < size || fit.resize > ImageFit::kLargest) {
    throw ConfigError(message("a shorter side resized to ", fit.resize,
                              " pixels: the network's images of ", size, "x", size,
                              " are cut out of it; use ", size, " to ", ImageFit::kLargest));
  }
  base.mean = hints.mean.value_or(base.mean);
  base.std = hints.std.value_or(base.std);
  return base;
}

std::string preprocessing_text(const Preprocessing& preprocessing) {
  const ImageFit& fit = preprocessing.fit;
  std::string text = message("shorter side to ", fit.resize, " (", name(fit.interpolation),
                             "), the middle ", fit.crop, "x", fit.crop, ", normalised by ");
  for (const NamedNormalization& named : kNormalizations) {
    if (!has_values(preprocessing, named)) continue;
    return text + message(named.name, "'s mean ", listed(named.mean), " and deviation ",
                          listed(named.std), " (shares of 255)");
  }
  return text + message("mean ", listed(preprocessing.mean), " and deviation ",
                        listed(preprocessing.std), " (grey levels)");
}

}  // namespace msd
