// SPDX-License-Identifier: MIT
// Stands here for models/exits/exit_rule.h, which lies in this place in an installed library.
#pragma once

#include "models/exits/exit_rule.h"
