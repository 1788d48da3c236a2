// SPDX-License-Identifier: MIT
// Logits of inference plans against PyTorch's evaluation mode, computed in double.
#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

#include "engine/files/safetensors.h"
#include "models/inference/plan.h"
#include "tests/models/device.h"
#include "tests/models/networks.h"

namespace msd {
namespace {

using test::Differences;
using test::Tensors;

// Float: sums of up to a few thousand products through some 20 layers, 2^-24 each, add up like a
// random walk; PyTorch's float is off by about as much. Double: rounding.
double tolerance_of(DType dtype) { return dtype == DType::f64 ? 1e-9 : 1e-5; }

/// Every exit's logits for these images in one batch.
std::vector<std::vector<double>> logits_of(Runtime& runtime, const Network& network,
                                           const std::vector<double>& images) {
  const std::int64_t size = network.config().image_size;
  const Plan plan(runtime, network);
  PlanSession session(runtime, plan, static_cast<std::int64_t>(images.size()) / (3 * size * size));
  test::put_images(session, images);
  std::vector<std::vector<double>> logits;
  for (std::int64_t stage = 0; stage < plan.stages(); ++stage) {
    const Tensor answer = host_copy(runtime.allocator(), session.run_stage(stage));
    logits.push_back(test::doubles(answer.view()));
  }
  return logits;
}

class PlanFixtures : public testing::TestWithParam<std::tuple<std::string, DType>> {};

TEST_P(PlanFixtures, Logits) {
  const auto& [name, dtype] = GetParam();
  const test::Fixture fixture(name);
  Runtime runtime(1, test::device());
  const Network network =
      test::load_network(fixture.config(), fixture.state(), runtime.allocator(), dtype);
  const auto logits = logits_of(runtime, network, fixture.values("eval/input"));
  const auto expected = fixture.sampled("eval/logits");
  ASSERT_EQ(logits.size(), expected.size());
  Differences differences;
  for (const auto& [exit, sampled] : expected) {
    differences.add("logits" + exit, logits.at(std::stoul(exit) - 1), sampled.values,
                    sampled.stride);
  }
  EXPECT_TRUE(differences.within(tolerance_of(dtype)));
  differences.record("logits");
}

INSTANTIATE_TEST_SUITE_P(Fixtures, PlanFixtures,
                         testing::Combine(testing::ValuesIn(test::fixture_names()),
                                          testing::ValuesIn(test::device_dtypes())),
                         [](const auto& test) {
                           return std::get<0>(test.param) + "_" +
                                  std::string(name(std::get<1>(test.param)));
                         });

class PlanReference : public testing::TestWithParam<std::tuple<char, DType>> {};

TEST_P(PlanReference, Logits) {
  const auto& [letter, dtype] = GetParam();
  const std::string state = std::string(1, letter) + "_state.safetensors";
  const std::string answers = std::string(1, letter) + "_eval.safetensors";
  MSD_NEED_REFERENCE(state.c_str(), answers.c_str());
  const Tensors expected = read_safetensors(test::reference_file(answers)).tensors;
  Runtime runtime(1, test::device());
  const Network network = test::load_network(test::reference_config(letter),
                                             read_safetensors(test::reference_file(state)).tensors,
                                             runtime.allocator(), dtype);
  const auto logits = logits_of(runtime, network, test::doubles(expected.at("input")));
  Differences differences, to_pytorchs_float;
  for (std::size_t k = 0; k < logits.size(); ++k) {
    const std::string name = "logits" + std::to_string(k + 1);
    differences.add(name, logits[k], test::doubles(expected.at(name + "_f64")));
    to_pytorchs_float.add(name, logits[k], test::doubles(expected.at(name)));
  }
  EXPECT_TRUE(differences.within(tolerance_of(dtype)));
  EXPECT_TRUE(to_pytorchs_float.within(1e-5));
  differences.record("logits");
}

INSTANTIATE_TEST_SUITE_P(Reference, PlanReference,
                         testing::Combine(testing::Values('H', 'D', 'I'),
                                          testing::ValuesIn(test::device_dtypes())),
                         [](const auto& test) {
                           return std::string(1, std::get<0>(test.param)) + "_" +
                                  std::string(name(std::get<1>(test.param)));
                         });

}  // namespace
}  // namespace msd
