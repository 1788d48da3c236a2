// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "apps/common/options.h"
#include "models/network/preprocessing.h"

namespace msd {

/// The options that say how pictures are brought to a network's input and what its classes are
/// called, over what its file says.
class PreprocessingOptions {
 public:
  /// `with_class_names` also offers --class-names.
  void add_to(CommandLine& line, bool with_class_names);

  /// Wrong usage where the values contradict each other. Call from the line's on_parsed().
  void check_usage() const { static_cast<void>(hints()); }

  /// Throws UsageError.
  PreprocessingHints hints() const;
  /// True where --resize, --crop or --interpolation is given.
  bool says_fit() const;
  /// True where any of the options is given.
  bool given() const;
  /// The lines of --class-names; nothing where it is not given. Throws IoError, and FormatError
  /// where they are not `classes` names in UTF-8.
  std::vector<std::string> class_names(std::int64_t classes) const;
  /// Throws ConfigError where the data set `name` leaves --resize, --crop or --interpolation
  /// without effect.
  void require_effect_on(const std::string& dataset) const;

  /// All the options, --class-names too.
  static std::vector<std::string> names();
  const std::string& program() const { return line_->program(); }

 private:
  const CommandLine* line_ = nullptr;
  std::int64_t resize_ = 0, crop_ = 0;
  std::string interpolation_, mean_, std_, normalise_, class_names_;
  Option resize_option_, crop_option_, interpolation_option_, mean_option_, std_option_;
  Option normalise_option_, class_names_option_;
};

}  // namespace msd
