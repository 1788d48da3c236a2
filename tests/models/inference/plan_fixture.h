// SPDX-License-Identifier: MIT
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "models/inference/plan.h"
#include "tests/models/networks.h"

namespace msd::test {

using Bytes = std::vector<std::byte>;

inline Network random_network(const MsdnetConfig& config, Allocator& allocator) {
  Network network(config, allocator);
  randomize(network, 21);
  return network;
}

/// The logits of every stage, for these images in one batch.
inline std::vector<Bytes> run(Runtime& runtime, const Plan& plan,
                              const std::vector<double>& images) {
  const std::int64_t size = plan.architecture().config.image_size;
  PlanSession session(runtime, plan, static_cast<std::int64_t>(images.size()) / (3 * size * size));
  put_images(session.input(), images);
  std::vector<Bytes> logits;
  for (std::int64_t stage = 0; stage < plan.stages(); ++stage) {
    logits.push_back(bytes(session.run_stage(stage)));
  }
  return logits;
}

inline bool all_finite(const Bytes& floats) {
  for (std::size_t i = 0; i < floats.size(); i += sizeof(float)) {
    float value;
    std::memcpy(&value, floats.data() + i, sizeof value);
    if (!std::isfinite(value)) return false;
  }
  return true;
}

/// A network by name, of each kind the plan treats differently, with random weights, and two
/// images.
class PlanFixture : public testing::TestWithParam<std::string> {
 protected:
  Runtime runtime_;
  const MsdnetConfig config_ =
      GetParam() == "cifar10-tiny" ? preset("cifar10-tiny") : Fixture(GetParam()).config();
  Network network_ = random_network(config_, runtime_.allocator());
  const std::vector<double> images_ = random_images(2, config_.image_size, 3);
};

inline auto plan_networks() {
  return testing::Values("cifar10-tiny", "cifar_lin_grow", "prune_min", "imagenet_four_scales",
                         "unused_branches");
}

inline std::string plan_case_name(const testing::TestParamInfo<std::string>& test) {
  std::string name = test.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

}  // namespace msd::test
