// SPDX-License-Identifier: MIT
// Faults planted into kernels as they are, without a change to their source: the emulated device
// leaves out or distorts what one line of a kernel asks for. A test plants every fault at every
// line it can be planted and wants each to be noticed. A part of the scheduler.
#pragma once

#include <cstdint>

#include "tests/emulation/site.h"

namespace msd::emulation {

enum class Fault : std::uint8_t {
  no_barrier,         // all threads pass a block_sync
  divergent_barrier,  // thread 0 does not come to a block_sync
  no_copy_wait,       // a copy_wait that does not wait
  wrong_lane,         // a shuffle takes the value of a neighbouring lane
  short_array,        // a shared variable ends one byte early
  missing_block,      // a launch leaves its last block out
};
inline constexpr int kFaults = 6;
const char* name(Fault fault);

struct Place {
  Fault fault;
  Site site;
};

/// From now on this fault happens at this line.
void plant(const Place& place);
void pull_out();

/// Forgets and then notes where kernels could have had a fault.
void note_places();
/// The number of places noted (each line once), and those.
int noted_places();
const Place& noted_place(int index);

/// Whether the fault is planted at this line. For the device's side of the emulation.
bool planted(Fault fault, Site site);

}  // namespace msd::emulation
