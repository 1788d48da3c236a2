// SPDX-License-Identifier: MIT
// One decoder a format, each of a whole file's bytes. They may run in many threads at once, give
// the same pixels each time, and throw FormatError, without the file's name, for a file that is
// damaged, cut short or of a kind that they do not read.
#pragma once

#include "data/decoders/encoded_image.h"
#include "data/image_file.h"

namespace msd {

/// By libjpeg: baseline, extended, progressive and arithmetic, 8 bits a sample. Four components are
/// CMYK or YCCK, inverted as Adobe's programs write them, with a marker of theirs or without.
/// Damage by which pixels would be guessed is an error, other damage (bytes between segments) not.
Image decode_jpeg(EncodedImage file);

/// By libpng: every kind, 16 bits cut to 8. The colours that a palette lacks are black. Every
/// chunk's checksum must be right. Of an animation (APNG) the still image. Apple's CgBI is refused.
Image decode_png(EncodedImage file);

/// By libwebp: lossy and lossless; of an animation the first frame.
Image decode_webp(EncodedImage file);

/// Palettes, bit masks and run lengths; every header of OS/2 and Windows. The colours that a
/// palette lacks, and what run lengths leave out, are black and the palette's first colour.
Image decode_bmp(EncodedImage file);

/// The first frame; where it leaves the canvas free, the transparent colour, else the first one.
Image decode_gif(EncodedImage file);

/// P4, P5 and P6, of any greatest value up to 65535, which becomes 255. Plain ones are refused.
Image decode_pnm(EncodedImage file);

/// By stb_image. The colours that a palette lacks are black.
Image decode_tga(EncodedImage file);
/// TGA has no signature: true where every field of the header is one that some TGA has.
bool looks_like_tga(EncodedImage file);

}  // namespace msd
