// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>

#include "kernels/view.h"

namespace msd {

/// Random floats on a 64-byte boundary, for operands on the CPU.
class Floats {
 public:
  explicit Floats(std::int64_t count, float low = -1.0f, float high = 1.0f)
      : data_(static_cast<float*>(
            std::aligned_alloc(64, static_cast<std::size_t>(round_up(count * 4 + 4, 64))))) {
    static std::mt19937 engine(7);
    std::uniform_real_distribution<float> uniform(low, high);
    for (std::int64_t i = 0; i < count; ++i) data_.get()[i] = uniform(engine);
  }
  float* data() { return data_.get(); }

 private:
  struct Free {
    void operator()(float* p) const { std::free(p); }
  };
  std::unique_ptr<float, Free> data_;
};

}  // namespace msd
