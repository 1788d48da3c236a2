// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "engine/image_fit.h"
#include "models/network/config.h"

namespace msd {

/// What is done to a picture before a network sees it, when it is judged or used.
struct Preprocessing {
  ImageFit fit;                                        // of none, nobody said it
  std::array<float, 3> mean{}, std{1.0f, 1.0f, 1.0f};  // per channel, grey levels 0 to 255

  bool operator==(const Preprocessing&) const = default;
};

std::string_view name(Interpolation interpolation);
/// Throws ConfigError for any other name.
Interpolation interpolation_named(std::string_view name);
std::span<const Interpolation> interpolations();
/// {"resize", "crop", "interpolation"}
void to_json(nlohmann::json& json, const ImageFit& fit);

/// Mean and deviation under a name, as shares of 255.
struct NamedNormalization {
  std::string_view name;
  std::array<double, 3> mean, std;
};

/// What the public implementations of MSDNet normalise with, by data set.
std::span<const NamedNormalization> normalizations();
/// The one of that name, or null.
const NamedNormalization* find_normalization(std::string_view name);

/// The parts of a Preprocessing that somebody decided.
struct PreprocessingHints {
  std::optional<std::int64_t> resize, crop;
  std::optional<Interpolation> interpolation;
  std::optional<std::array<float, 3>> mean, std;  // grey levels; both or none

  bool empty() const { return !resize && !crop && !interpolation && !mean; }
  /// Those of a name; it must be one.
  void set_normalization(std::string_view name);
  /// The six as people know them, one way or the other: all at most 1 are shares of 255, as
  /// torchvision has them, all above 1 are grey levels (0 is the same in both). Throws ConfigError
  /// for a mixture, for what is outside 0 to 255 and for a deviation that is not above 0.
  void set_normalization(const std::array<double, 3>& mean, const std::array<double, 3>& std);
};

/// What networks of this kind usually get where nothing else is known: ImageNet's the middle of
/// pictures whose shorter side is 8/7 of the input (256 for 224), the others as much as the input
/// holds; mean and deviation of the data set where it has some under its name, else ImageNet's,
/// CIFAR-100's (100 classes) or CIFAR-10's.
Preprocessing usual_preprocessing(const MsdnetConfig& config, std::string_view dataset = {});

/// Nothing but the middle of pictures resized to the size of the input.
ImageFit whole_fit(const MsdnetConfig& config);

/// `base` with the hints over it, for the input of this network: a base of another size is brought
/// to it, its frame in proportion. Throws ConfigError for a crop of another size than the input, or
/// a frame smaller than it or above ImageFit::kLargest.
Preprocessing with_hints(Preprocessing base, const PreprocessingHints& hints,
                         const MsdnetConfig& config);

/// For people: "shorter side to 256 (bilinear), the middle 224x224, normalised by imagenet's mean
/// 0.485,0.456,0.406 and deviation 0.229,0.224,0.225 (shares of 255)".
std::string preprocessing_text(const Preprocessing& preprocessing);

}  // namespace msd
