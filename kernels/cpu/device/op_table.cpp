// SPDX-License-Identifier: MIT
#include "kernels/cpu/device/op_table.h"

#include "kernels/cpu/device/body.h"

namespace msd::cpu::MSD_ISA {

extern const OpTable kOpTable;
const OpTable kOpTable = {
#define MSD_OP(name, Args, cuda_state) &MSD_ISA::name,
#include "kernels/op_list.inc"
#undef MSD_OP
};

}  // namespace msd::cpu::MSD_ISA
