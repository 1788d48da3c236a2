// SPDX-License-Identifier: MIT
#include "models/network/config.h"

#include <nlohmann/json.hpp>
#include <string_view>

#include "engine/files/json_text.h"
#include "models/network/cost.h"
#include "tests/fuzz/targets.h"

void msd::fuzz::config(Bytes file) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  exit_costs(make_architecture(parse_json(text, text.size(), 4).get<MsdnetConfig>()));
}
