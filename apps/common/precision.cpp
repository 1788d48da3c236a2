// SPDX-License-Identifier: MIT
#include "apps/common/precision.h"

#include "kernels/error.h"

namespace msd {

void PrecisionOption::add_to(CommandLine& line, const std::string& group) {
  line.option("--precision,--dtype", name,
              "fp32; fp64 on the CPU; tf32 or bf16 (weights stay fp32) on a GPU")
      .one_of({"fp32", "fp64", "tf32", "bf16"})
      .show_default()
      .group(group);
}

void PrecisionOption::apply(Runtime& runtime) const {
  const bool cuda = runtime.device().type == DeviceType::cuda;
  if (cuda && name == "fp64") {
    throw ConfigError("--precision fp64 is for --device cpu; on a GPU use fp32, tf32 or bf16");
  }
  if (!cuda && (name == "tf32" || name == "bf16")) {
    throw ConfigError("--precision " + name + " needs --device cuda; on the CPU use fp32 or fp64");
  }
  runtime.set_allow_tf32(name == "tf32");
}

}  // namespace msd
