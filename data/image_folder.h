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
///   FOLDER/train/CLASS/NAME.jpg   to learn from
///   FOLDER/test/CLASS/NAME.jpg    to be judged by; the folder may be called val instead
/// The classes are the folders in train, in byte order of their names; the other part has the same.
/// Images lie in order of class, then in byte order of their names. Links are followed. Left out
/// are hidden files and folders (.name), files that are no images by their ending, files beside the
/// class folders and folders inside them.
///
/// Every image of both parts is brought to one size with fit_to(); without a `fit` they are kept as
/// they are, which must then be one size. mean and std are those of the training images.
/// The result does not depend on the threads of `pool`, which share the decoding; it may be null.
///
/// Memory: the bytes and names of the images, the paths of one part, and one decoded file a thread.
/// Throws IoError where a folder or file is missing or cannot be read, FormatError where one is not
/// what it should be (no classes, a class without images, classes that differ between the parts, a
/// file that cannot be decoded, sizes that differ), ConfigError for a fit that cannot be and
/// OutOfMemory where the images do not fit. Of
/// several bad files it names the first.
Dataset load_image_folder(const std::string& folder, const std::optional<ImageFit>& fit = {},
                          cpu::ThreadPool* pool = nullptr);

}  // namespace msd
