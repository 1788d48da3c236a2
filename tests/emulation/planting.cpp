// SPDX-License-Identifier: MIT
#include "tests/emulation/planting.h"

#include <cstring>

namespace msd::emulation {
namespace {

constexpr int kMost = 256;
Place places[kMost];
int place_count = 0;
bool noting = false, is_planted = false;
Place planted_place;

bool same(const Place& place, Fault fault, Site site) {
  return place.fault == fault && place.site.line == site.line &&
         std::strcmp(place.site.file, site.file) == 0;
}

void note(Fault fault, Site site) {
  for (int i = 0; i < place_count; ++i) {
    if (same(places[i], fault, site)) return;
  }
  if (place_count < kMost) places[place_count++] = {fault, site};
}

}  // namespace

const char* name(Fault fault) {
  constexpr const char* kNames[kFaults] = {"no barrier", "divergent barrier", "no copy wait",
                                           "wrong lane", "short array",       "missing block"};
  return kNames[static_cast<int>(fault)];
}

void plant(const Place& place) {
  noting = false;
  is_planted = true;
  planted_place = place;
}
void pull_out() { is_planted = false; }

void note_places() {
  place_count = 0;
  noting = true;
}
int noted_places() { return place_count; }
const Place& noted_place(int index) { return places[index]; }

bool planted(Fault fault, Site site) {
  if (noting) note(fault, site);
  return is_planted && same(planted_place, fault, site);
}

}  // namespace msd::emulation
