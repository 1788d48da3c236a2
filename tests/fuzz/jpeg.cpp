// SPDX-License-Identifier: MIT
#include "data/decoders/decoders.h"
#include "tests/fuzz/look.h"
#include "tests/fuzz/targets.h"

void msd::fuzz::jpeg(Bytes file) { look_at(decode_jpeg(file)); }
