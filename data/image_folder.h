// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>

#include "data/dataset.h"
#include "engine/image_fit.h"

namespace msd {

namespace cpu {
class ThreadPool;
}

/// Reads a data set from image files (those of list_image_files), all of them into memory:
///   FOLDER/train/CLASS/NAME.jpg   to learn from; also CLASS/SUB/NAME.jpg, to any depth
///   FOLDER/test/CLASS/NAME.jpg    to be judged by; the folder may be called val instead
/// The classes are the folders in train, in byte order of their names; the other part has the same.
/// Images lie in order of class, then in that of list_image_files: torchvision's. Links are
/// followed. Left out are hidden files and folders (.name), files that are no images by their
/// ending and files beside the class folders; a remark of the data set counts them.
///
/// Every image of both parts is brought to one size with fit_to(); without a `fit` they are kept as
/// they are, which must then be one size. mean and std are those of the training images.
/// The result does not depend on the threads of `pool`, which share the decoding; it may be null.
///
/// Memory: the bytes and names of the images, the paths of both parts, and one decoded file a
/// thread. Throws IoError where a folder is missing or a class folder is a link that leads nowhere,
/// FormatError where something is not what it should be (no classes, classes without images or
/// that differ between the parts, files that cannot be read, sizes that differ), ConfigError for
/// a fit that cannot be and OutOfMemory where the images do not fit. An error names all faults of
/// its kind, of both parts, as FaultList does; where sizes differ it may be those of the first
/// files.
Dataset load_image_folder(const std::string& folder, const std::optional<ImageFit>& fit = {},
                          cpu::ThreadPool* pool = nullptr);

}  // namespace msd
