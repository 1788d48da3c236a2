// SPDX-License-Identifier: MIT
// batchnorm_inference: y from the running statistics (batchnorm.h). Bytes: x and y once.
#include <cmath>

#include "kernels/cpu/batchnorm.h"

namespace msd::cpu::MSD_ISA {

void batchnorm_inference(ThreadPool& pool, std::span<const BatchNormInferenceArgs> group) {
  using InferencePart = Part<BatchNormInferenceArgs>;
  check_dtypes("batchnorm_inference", group);
  in_batches(pool, group, [&](std::span<const InferencePart> parts) {
    for (const InferencePart& part : parts) {
      for_dtype(part.args->x.dtype, [&]<typename T>() {
        for (std::int64_t i = 0; i < part.channels; ++i) {
          const auto variance =
              static_cast<double>(static_cast<const T*>(part.args->running_var)[part.first + i]);
          const auto gamma =
              static_cast<double>(static_cast<const T*>(part.args->gamma)[part.first + i]);
          part.number<T>(0)[i] = static_cast<T>(gamma / std::sqrt(variance + part.args->epsilon));
        }
      });
    }
    run_tasks(pool, parts, false, []<typename T>(const InferencePart& part, std::int64_t task) {
      normalise_task(part, task, part.coefficients<T>(part.args->running_mean));
    });
  });
}

}  // namespace msd::cpu::MSD_ISA
