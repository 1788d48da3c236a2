// SPDX-License-Identifier: MIT
// As C++. CMake gives a source one language a folder, and nvcc compiles the original here too.
#include "tests/kernels/device_code_test.cu"  // NOLINT(bugprone-suspicious-include)
