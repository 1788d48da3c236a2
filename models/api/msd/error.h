// SPDX-License-Identifier: MIT
// Stands here for kernels/error.h, which lies in this place in an installed library.
#pragma once

#include "kernels/error.h"
