// SPDX-License-Identifier: MIT
#include <cstdlib>

#include "kernels/check.h"
#include "kernels/cpu/device/op_table.h"

namespace msd::cpu {

namespace generic {
extern const OpTable kOpTable;
}
#ifdef MSD_HAVE_X86_BODIES
namespace avx2 {
extern const OpTable kOpTable;
}
namespace avx512 {
extern const OpTable kOpTable;
}
#endif

std::string_view name(Isa isa) {
  switch (isa) {
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
    case Isa::generic:
      break;
  }
  return "generic";
}

std::vector<Isa> available_isas() {
  std::vector<Isa> isas = {Isa::generic};
#ifdef MSD_HAVE_X86_BODIES
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) isas.push_back(Isa::avx2);
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    isas.push_back(Isa::avx512);
  }
#endif
  return isas;
}

const OpTable& op_table(Isa isa) {
  for (const Isa available : available_isas()) {
    if (available != isa) continue;
#ifdef MSD_HAVE_X86_BODIES
    if (isa == Isa::avx2) return avx2::kOpTable;
    if (isa == Isa::avx512) return avx512::kOpTable;
#endif
    return generic::kOpTable;
  }
  throw ConfigError(message("this CPU or build cannot run ", name(isa), " kernels"));
}

Isa default_isa() {
  const std::vector<Isa> isas = available_isas();
  const char* wanted = std::getenv("MSD_CPU_ISA");
  if (wanted == nullptr || *wanted == '\0') return isas.back();
  for (const Isa isa : {Isa::generic, Isa::avx2, Isa::avx512}) {
    if (name(isa) == wanted) {
      op_table(isa);  // throws where it cannot run
      return isa;
    }
  }
  throw ConfigError(message("MSD_CPU_ISA=", wanted, " is unknown; use generic, avx2 or avx512"));
}

}  // namespace msd::cpu
