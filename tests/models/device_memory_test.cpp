// SPDX-License-Identifier: MIT
// What the emulated device sees of the engine's memory.
#include <gtest/gtest.h>

#include <cmath>
#include <string_view>

#include "models/training/training_step.h"
#include "tests/emulation/emulation.h"
#include "tests/emulation/planting.h"
#include "tests/models/device.h"
#include "tests/models/networks.h"

namespace msd {
namespace {

TEST(DeviceMemory, AStepAllocatesNothing) {
  const test::Fixture fixture("cifar_lin_grow");
  Runtime runtime(1, test::device());
  Network network =
      test::load_network(fixture.config(), fixture.state(), runtime.allocator(), DType::f32);
  Sgd sgd(runtime, network.parameters(), {});
  DeviceExitCounter counter(runtime, 3, fixture.config().classes, 2, DType::f32);
  TrainingStep step(runtime, network, 2, {1.0, 1.0, 1.0}, DType::f32, sgd, counter);
  test::put_batch(step.graph(), test::random_batch(fixture.config(), 2, 1));
  const std::int64_t before = emulation::live_allocations();
  step.run();
  step.run();
  EXPECT_EQ(emulation::live_allocations(), before);
  EXPECT_TRUE(std::isfinite(step.graph().loss()));
}

// Barriers tell which kernels ran: one of implicit_gemm.cu is where statistics are left, one of
// batchnorm_forward.cu is in the pass over x for them.
TEST(DeviceMemory, IsNotReadForStatisticsThatConvolutionsLeave) {
  const test::Fixture fixture("cifar_lin_grow");
  Runtime runtime(1, test::device());
  Network network =
      test::load_network(fixture.config(), fixture.state(), runtime.allocator(), DType::f32);
  for (const DType activations : {DType::f32, DType::bf16}) {
    TrainingGraph graph(runtime, network, 2, {1.0, 1.0, 1.0}, activations);
    test::put_batch(graph, test::random_batch(fixture.config(), 2, 1));
    emulation::note_places();
    graph.run();
    runtime.synchronize();
    int left = 0, passes = 0;
    for (int i = 0; i < emulation::noted_places(); ++i) {
      const emulation::Place& place = emulation::noted_place(i);
      if (place.fault != emulation::Fault::no_barrier) continue;
      const std::string_view file = place.site.file;
      left += file.ends_with("implicit_gemm.cu");
      passes += file.ends_with("batchnorm_forward.cu");
    }
    EXPECT_EQ(left, 1);
    EXPECT_EQ(passes, 0);
  }
}

TEST(DeviceMemory, IsGivenBack) {
  const std::int64_t before = emulation::live_allocations();
  {
    const test::Fixture fixture("cifar_lin_grow");
    Runtime runtime(1, test::device());
    const Network network =
        test::load_network(fixture.config(), fixture.state(), runtime.allocator(), DType::f32);
    const Plan plan(runtime, network);
    PlanSession session(runtime, plan, 2);
    test::put_images(session, test::random_images(2, fixture.config().image_size, 1));
    session.run_stage(0);
    EXPECT_GT(emulation::live_allocations(), before);
  }
  EXPECT_EQ(emulation::live_allocations(), before);
}

TEST(DeviceMemoryDeathTest, IsOutOfTheHostsReach) {
  Runtime runtime(1, test::device());
  const Tensor tensor = Tensor::zeros(runtime.allocator(), {4}, DType::f32);
  runtime.synchronize();
  EXPECT_DEATH(static_cast<volatile float*>(tensor.data())[1] = 1.0f, "");
  EXPECT_EQ(test::doubles(tensor.to_host()), std::vector<double>(4, 0.0));
}

}  // namespace
}  // namespace msd
