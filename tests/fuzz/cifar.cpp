// SPDX-License-Identifier: MIT
#include "data/cifar.h"

#include "tests/fuzz/targets.h"

void msd::fuzz::cifar(Bytes file) {
  if (file.empty()) return;
  ImageSet set;
  const bool second = (file[0] & std::byte{1}) == std::byte{1};
  for (int twice = 0; twice < 2; ++twice) {
    append_cifar_records(second ? Cifar::cifar100 : Cifar::cifar10, file.subspan(1), set);
  }
  fingerprint(set, {});
}
