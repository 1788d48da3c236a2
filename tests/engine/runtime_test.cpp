// SPDX-License-Identifier: MIT
#include "engine/runtime.h"

#include <gtest/gtest.h>

#include "engine/tensor.h"
#include "tests/support/allocators.h"
#include "tests/support/errors.h"

namespace msd {
namespace {

using test::throws;

TEST(ParseDevice, KnownNames) {
  EXPECT_EQ(parse_device("cpu").type, DeviceType::cpu);
  EXPECT_EQ(parse_device("cuda").type, DeviceType::cuda);
  EXPECT_EQ(parse_device("cuda").index, 0);
  EXPECT_EQ(parse_device("cuda:12").type, DeviceType::cuda);
  EXPECT_EQ(parse_device("cuda:12").index, 12);
}

TEST(ParseDevice, AnythingElseIsAConfigError) {
  for (const char* text : {"", "gpu", "CPU", "cpu:0", "cuda:", "cuda:-1", "cuda:1x", "cuda:x",
                           "cuda: 1", "cuda:99999999999999999999"}) {
    EXPECT_TRUE(throws<ConfigError>([&] { parse_device(text); }, {text, "cuda"})) << text;
  }
}

TEST(Runtime, HasTheThreadsAskedFor) {
  EXPECT_EQ(Runtime().threads(), 1);
  EXPECT_EQ(Runtime(3).threads(), 3);
  EXPECT_GE(Runtime(0).threads(), 1);
}

TEST(Runtime, SeveralLiveSideBySideAndRunOps) {
  Runtime a(1), b(2);
  for (Runtime* runtime : {&a, &b}) {
    EXPECT_EQ(runtime->context().device, DeviceType::cpu);
    const Tensor x = Tensor::activation(runtime->allocator(), 2, 3, 3, 5, DType::f32);
    const FillArgs args = {x.view(), 2.5};
    fill(runtime->context(), {&args, 1});
    EXPECT_EQ(static_cast<float*>(x.data())[4], 2.5f);
  }
}

TEST(Runtime, TakesAnotherAllocator) {
  SystemAllocator system;
  test::StatisticsAllocator statistics(system);
  Runtime runtime;
  runtime.set_allocator(statistics);
  const Tensor t = Tensor::empty(runtime.allocator(), {10}, DType::f32);
  EXPECT_EQ(statistics.current_bytes(), 40);
}

}  // namespace
}  // namespace msd
