// SPDX-License-Identifier: MIT
// The device a binary of these tests is about: the CPU, or CUDA, emulated or real.
#pragma once

#include <vector>

#include "models/inference/plan.h"
#include "tests/models/fixtures.h"

#ifndef MSD_TEST_DEVICE
#define MSD_TEST_DEVICE "cpu"
#endif

namespace msd::test {

inline DeviceSpec device() { return parse_device(MSD_TEST_DEVICE); }

/// Types its networks may have.
inline std::vector<DType> device_dtypes() {
  if (device().type == DeviceType::cuda) return {DType::f32};
  return {DType::f64, DType::f32};
}

/// Fills a session's input with [n][c][h][w] values.
inline void put_images(PlanSession& session, const std::vector<double>& nchw) {
  const View input = session.input();
  const Tensor images = Tensor::activation(host_allocator(), input.n, input.h, input.w, input.c,
                                           accumulator_of(input.dtype));
  put_images(images.view(), nchw);
  session.set_input(images.view());
}

}  // namespace msd::test
