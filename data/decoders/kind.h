// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "data/decoders/encoded_image.h"

namespace msd {

/// The formats that are read, and `other`.
enum class ImageKind { jpeg, png, webp, bmp, gif, pnm, tga, other };

/// By the file's first bytes, whatever its name.
ImageKind image_kind(EncodedImage file);

/// What a file is that is none of them, "an AVIF image" or the like; empty where it is not known.
std::string name_of_other(EncodedImage file);

}  // namespace msd
