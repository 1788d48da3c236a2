// SPDX-License-Identifier: MIT
// DESIGN's description of the network, expanded a second time for the tests: what parameters there
// are and what each exit costs in the plain convention. Knows nothing of
// models/network/architecture.h.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/random.h"
#include "models/network/config.h"

namespace msd::test {

struct NaiveNetwork {
  explicit NaiveNetwork(const MsdnetConfig& config);

  /// Parameters and buffers of the state dictionary with PyTorch's shapes.
  std::map<std::string, std::vector<std::int64_t>> state;
  /// Everything up to and including an exit, one image.
  struct Totals {
    std::int64_t ops = 0, mul_adds = 0, params = 0;
  };
  std::vector<Totals> exits;
};

/// A configuration of up to 4 scales that can be built on the given image size, or is close to it:
/// make_architecture may refuse it as too small.
MsdnetConfig random_config(RandomStream& random);

}  // namespace msd::test
