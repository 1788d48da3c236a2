// SPDX-License-Identifier: MIT
#pragma once

namespace msd {

/// CPU threads every benchmark uses; set by msd-bench --threads before any runs.
int bench_threads();

}  // namespace msd
