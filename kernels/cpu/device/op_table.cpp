// SPDX-License-Identifier: MIT
// The bodies of this instruction set (isa.cpp chooses one). Compiled with them, unlike isa.cpp,
// which must run on every CPU.
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
