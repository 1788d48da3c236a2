// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "data/dataset.h"

namespace msd {

enum class Cifar { cifar10, cifar100 };

/// Reads CIFAR-10 or CIFAR-100 in the binary layout of https://www.cs.toronto.edu/~kriz/cifar.html:
/// data_batch_1.bin .. data_batch_5.bin and test_batch.bin (records of 1 label and 3072 pixels), or
/// train.bin and test.bin (coarse label, fine label, 3072 pixels; the fine one counts). `folder`
/// holds these files, or the folder cifar-10-batches-bin or cifar-100-binary that does.
/// A file may have any number of records from 1. Class names come from batches.meta.txt or
/// fine_label_names.txt; without that file they are "0", "1", ...
/// Throws IoError where a folder or file is missing or unreadable, FormatError for a file that is
/// not a whole number of records, a label out of range or the wrong number of class names. An error
/// names all files that are faulty.
Dataset load_cifar(Cifar kind, const std::string& folder);
/// Appends the records of one file's bytes. Throws FormatError, without the file's name.
void append_cifar_records(Cifar kind, std::span<const std::byte> content, ImageSet& set);

}  // namespace msd
