// SPDX-License-Identifier: MIT
// Stands here for engine/image_fit.h, which lies in this place in an installed library.
#pragma once

#include "engine/image_fit.h"
