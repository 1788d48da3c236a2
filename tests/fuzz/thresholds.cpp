// SPDX-License-Identifier: MIT
#include "models/exits/thresholds_file.h"

#include <nlohmann/json.hpp>

#include "tests/fuzz/targets.h"

void msd::fuzz::thresholds(Bytes file) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  const ThresholdsFile thresholds = parse_thresholds_file(text);
  static_cast<void>(thresholds_json(thresholds).dump());
  static_cast<void>(point_for_budget(thresholds, 1e300));
}
