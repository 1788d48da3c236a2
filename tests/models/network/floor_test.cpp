// SPDX-License-Identifier: MIT
#include "models/network/floor.h"

#include <gtest/gtest.h>

#include <variant>
#include <vector>

#include "models/network/config.h"
#include "models/network/cost.h"

namespace msd {
namespace {

struct Published {
  const char* preset;
  std::int64_t batch;
  double bytes_ms, flops_ms, spared;  // spared: share of the bytes, counted here
};

/// Bytes of the pass for batch norm's statistics that convolutions spare, less what these leave
/// instead: 8 bytes for 128 rows of up to 32 channels, or 64 of more, written and read.
double spared_bytes(const Architecture& net, std::int64_t batch) {
  double bytes = 0.0;
  for (const Operation& op : net.operations) {
    if (!std::holds_alternative<Convolution>(op.kind)) continue;
    const std::int64_t size = net.buffers[static_cast<std::size_t>(op.output.buffer)].size;
    const std::int64_t rows = batch * size * size, part = op.output.channels <= 32 ? 128 : 64;
    const std::int64_t parts = (rows + part - 1) / part;
    bytes += static_cast<double>(op.output.channels * (2 * rows - 16 * parts));
  }
  return bytes;
}

// Floors of an H200 (4.3 TB/s, 790 TFLOP/s in bf16) worked out independently, to two digits; theirs
// have a pass for the statistics, count the others of batch norm a little differently, and
// arithmetic of the image's gradient.
TEST(Floor, OfATrainingStepIsThePublishedOne) {
  const DeviceRates h200 = {4.3e12, 790e12};
  for (const Published& p : {Published{"cifar10-anytime10", 64, 0.42, 0.06, 0.0386},
                             Published{"cifar10-anytime10", 512, 3.4, 0.47, 0.0412},
                             Published{"imagenet-k4", 256, 9.0, 2.6, 0.0482}}) {
    SCOPED_TRACE(p.preset);
    const Architecture net = make_architecture(preset(p.preset));
    const Work work = training_step_work(net, p.batch, DType::bf16);
    const double spared = spared_bytes(net, p.batch);
    EXPECT_NEAR(spared / work.bytes, p.spared, 0.0005);
    EXPECT_NEAR(1e3 * (work.bytes + spared) / h200.bytes_per_second, p.bytes_ms, 0.05 * p.bytes_ms);
    EXPECT_NEAR(1e3 * work.flops / h200.flops_per_second, p.flops_ms, 0.05 * p.flops_ms);
    EXPECT_EQ(floor_seconds(work, h200), work.bytes / h200.bytes_per_second);
  }
}

TEST(Floor, OfStagesAddsUpToTheLazyCosts) {
  for (const char* name : {"cifar10-tiny", "cifar100-batch5", "imagenet-k4"}) {
    SCOPED_TRACE(name);
    const Architecture net = make_architecture(preset(name));
    const std::vector<ExitCost> costs = exit_costs(net);
    const std::vector<Work> stages = stage_work(net, 3, DType::f32);
    ASSERT_EQ(stages.size(), costs.size());
    double flops = 0.0;
    for (std::size_t exit = 0; exit < costs.size(); ++exit) {
      flops += stages[exit].flops;
      EXPECT_EQ(flops, 2.0 * 3.0 * static_cast<double>(costs[exit].mul_adds_lazy));
      EXPECT_GT(stages[exit].bytes, 0.0);
    }
  }
}

TEST(Floor, HalfTheBytesInBf16) {
  const Architecture net = make_architecture(preset("cifar10-tiny"));
  const Work wide = training_step_work(net, 512, DType::f32);
  const Work narrow = training_step_work(net, 512, DType::bf16);
  EXPECT_EQ(wide.flops, narrow.flops);
  EXPECT_NEAR(narrow.bytes / wide.bytes, 0.5, 0.01);  // parameters and their gradients stay fp32
}

}  // namespace
}  // namespace msd
