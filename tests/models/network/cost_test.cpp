// SPDX-License-Identifier: MIT
#include "models/network/cost.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "models/network/stages.h"
#include "tests/models/fixtures.h"

namespace msd {
namespace {

struct Row {
  std::size_t exit;  // from 1
  std::int64_t ops, mul_adds, mul_adds_lazy;
};

// DESIGN, section 3. Parameters are those of the whole network.
void expect_costs(const MsdnetConfig& config, const std::vector<Row>& rows, std::int64_t params) {
  const Architecture net = make_architecture(config);
  const std::vector<ExitCost> costs = exit_costs(net);
  ASSERT_EQ(static_cast<std::int64_t>(costs.size()), config.blocks);
  for (const Row& row : rows) {
    SCOPED_TRACE(row.exit);
    const ExitCost& cost = costs.at(row.exit - 1);
    EXPECT_EQ(cost.ops, row.ops);
    EXPECT_EQ(cost.mul_adds, row.mul_adds);
    EXPECT_EQ(cost.mul_adds_lazy, row.mul_adds_lazy);
  }
  EXPECT_EQ(costs.back().params, params);
}

std::vector<ExitCost> costs_of(std::string_view name) {
  return exit_costs(make_architecture(preset(name)));
}

TEST(Cost, A) {
  expect_costs(preset("cifar10-anytime10"),
               {{1, 15128842, 14955776, 13244672}, {10, 121563236, 120971776, 120971776}}, 4839544);
  EXPECT_EQ(costs_of("cifar10-anytime10").back().mul_adds_direct, 78935296);
}

TEST(Cost, C) {
  expect_costs(preset("cifar100-anytime7"),
               {{1, 15140452, 14967296, 13256192},
                {4, 46331024, 45972480, 44805120},
                {7, 75937724, 75487744, 75487744}},
               3067960);
}

TEST(Cost, D) {
  expect_costs(preset("cifar100-batch5"),
               {{1, 6859876, 6792704, 5917184},
                {2, 14350024, 14209024, 12645376},
                {3, 27536684, 27278848, 24502784},
                {4, 41714576, 41373696, 40169472},
                {5, 58480628, 58087936, 58087936}},
               2078924);
}

TEST(Cost, E) {
  expect_costs(preset("imagenet-k4"),
               {{1, 339902824, 337214464, 253721600},
                {2, 685456720, 681654272, 611407872},
                {3, 1008156120, 1003659008, 960306944},
                {4, 1254472688, 1249626240, 1249626240},
                {5, 1360529624, 1355606016, 1355606016}},
               23958440);
  EXPECT_EQ(costs_of("imagenet-k4").back().mul_adds_direct, 1262160256);
}

TEST(Cost, F) {
  expect_costs(preset("imagenet-k7"),
               {{1, 615692968, 612030976, 502045184},
                {2, 1436392016, 1430810112, 1334873600},
                {3, 2283210200, 2276388096, 2220190976},
                {4, 2967421456, 2959942016, 2959942016},
                {5, 3253794488, 3246180864, 3246180864}},
               62314472);
  const std::vector<ExitCost> costs = costs_of("imagenet-k7");
  EXPECT_EQ(costs.back().mul_adds_direct, 2993660544);
  // What users of the public code measured, in millions.
  const double published[] = {615.69, 1436.39, 2283.21, 2967.42, 3253.79};
  for (std::size_t k = 0; k < 5; ++k) {
    EXPECT_EQ(std::round(static_cast<double>(costs[k].ops) / 1e4) / 100, published[k]);
  }
}

TEST(Cost, TheUnusedBranchOfH) {
  const Architecture net = make_architecture(test::reference_config('H'));
  const std::vector<ExitCost> costs = exit_costs(net);
  EXPECT_EQ(costs.back().mul_adds - costs.back().mul_adds_lazy, 376832);
  const std::vector<bool> required = required_operations(net, {0, 1, 2});
  std::int64_t unused = 0;
  for (std::size_t i = 0; i < net.operations.size(); ++i) {
    if (required[i]) continue;
    EXPECT_TRUE(net.operations[i].name.starts_with("blocks.2.0.layers.0.conv_normal."));
    unused += mul_adds(net, net.operations[i]);
  }
  EXPECT_EQ(unused, 376832);
}

TEST(Cost, RisesFromExitToExitAndLazyIsBetweenDirectAndPlain) {
  for (const Preset& p : presets()) {
    SCOPED_TRACE(p.name);
    const std::vector<ExitCost> costs = exit_costs(make_architecture(p.config));
    EXPECT_EQ(costs[0].mul_adds_direct, costs[0].mul_adds_lazy);
    for (std::size_t k = 0; k < costs.size(); ++k) {
      const ExitCost& c = costs[k];
      EXPECT_LE(c.mul_adds_direct, c.mul_adds_lazy);
      EXPECT_LE(c.mul_adds_lazy, c.mul_adds);
      EXPECT_LE(c.ops_lazy, c.ops);
      EXPECT_GT(c.ops, c.mul_adds);
      EXPECT_GT(c.ops_lazy, c.mul_adds_lazy);
      if (k == 0) continue;
      const ExitCost& before = costs[k - 1];
      EXPECT_GT(c.ops, before.ops);
      EXPECT_GT(c.mul_adds, before.mul_adds);
      EXPECT_GT(c.mul_adds_lazy, before.mul_adds_lazy);
      EXPECT_GT(c.ops_lazy, before.ops_lazy);
      EXPECT_GT(c.params, before.params);
      EXPECT_GT(c.activation_elems, before.activation_elems);
    }
  }
}

TEST(Cost, OneOperationOfEachKind) {
  Architecture net;
  net.buffers = {{32, 3}, {16, 8}, {8, 8}, {1, 8}, {1, 10}};
  Operation conv;
  conv.input = {0, 0, 3};
  conv.output = {1, 0, 8};
  conv.kind = Convolution{{3, 8, 7, 2, 3}, true, ""};
  EXPECT_EQ(mul_adds(net, conv), 16 * 16 * 7 * 7 * 3 * 8);
  EXPECT_EQ(ops(net, conv), 16 * 16 * 7 * 7 * 3 * 8 + 16 * 16 * 8);  // the bias is not counted
  EXPECT_EQ(parameters(conv), 7 * 7 * 3 * 8 + 8 + 2 * 8);
  conv.kind = Convolution{{3, 8, 7, 2, 3}, false, ""};
  EXPECT_EQ(parameters(conv), 7 * 7 * 3 * 8 + 2 * 8);

  Operation pool;
  pool.input = {1, 0, 8};
  pool.output = {2, 0, 8};
  pool.kind = MaxPool{{3, 2, 1}};
  EXPECT_EQ(mul_adds(net, pool), 0);
  EXPECT_EQ(ops(net, pool), 9 * 8 * 8 * 8);
  EXPECT_EQ(parameters(pool), 0);

  Operation average;
  average.kind = GlobalAveragePool{};
  average.input = {2, 0, 8};
  average.output = {3, 0, 8};
  EXPECT_EQ(mul_adds(net, average), 0);
  EXPECT_EQ(ops(net, average), 8 * 8 * 8);
  EXPECT_EQ(parameters(average), 0);

  Operation linear;
  linear.kind = Linear{};
  linear.input = {3, 0, 8};
  linear.output = {4, 0, 10};
  EXPECT_EQ(mul_adds(net, linear), 80);
  EXPECT_EQ(ops(net, linear), 90);
  EXPECT_EQ(parameters(linear), 90);
}

}  // namespace
}  // namespace msd
