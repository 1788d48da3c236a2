// SPDX-License-Identifier: MIT
#pragma once

#include "apps/convert/convert_options.h"

namespace msd {

/// Describes or converts the input, as the command line says.
void convert(const ConvertOptions& options);

}  // namespace msd
