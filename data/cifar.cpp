// SPDX-License-Identifier: MIT
#include "data/cifar.h"

#include <array>
#include <cstddef>
#include <filesystem>
#include <sstream>
#include <system_error>

#include "data/fault_list.h"
#include "engine/files/file.h"
#include "kernels/check.h"

namespace msd {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kSize = 32, kChannels = 3, kPixels = kSize * kSize;

struct CifarLayout {
  const char* name;
  const char* folder;
  const char* names_file;
  const char* url;
  std::vector<std::string> train_files;
  std::string test_file;
  std::int64_t classes;
  std::int64_t label_bytes;  // the last one is the label
  std::array<float, 3> mean, std;
};

CifarLayout layout_of(Cifar kind) {
  if (kind == Cifar::cifar10) {
    return {"cifar10",
            "cifar-10-batches-bin",
            "batches.meta.txt",
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
             "data_batch_5.bin"},
            "test_batch.bin",
            10,
            1,
            {125.3f, 123.0f, 113.9f},
            {63.0f, 62.1f, 66.7f}};
  }
  return {"cifar100",
          "cifar-100-binary",
          "fine_label_names.txt",
          "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
          {"train.bin"},
          "test.bin",
          100,
          2,
          {129.3f, 124.1f, 112.4f},
          {68.2f, 65.4f, 70.4f}};
}

fs::path find_folder(const CifarLayout& layout, const std::string& folder) {
  std::error_code ignored;
  const fs::path given(folder), inner = given / layout.folder;
  if (fs::exists(given / layout.test_file, ignored)) return given;
  if (fs::is_directory(inner, ignored)) return inner;
  for (const std::string& file : layout.train_files) {
    if (fs::exists(given / file, ignored)) return given;  // a part of them is missing
  }
  if (!fs::is_directory(given, ignored)) {
    throw IoError(message(layout.name, ": no folder ", folder, "; unpack ", layout.url,
                          " there or name the folder that holds ", layout.folder));
  }
  throw IoError(message(layout.name, ": ", folder, " has neither ", layout.test_file, " nor ",
                        layout.folder, "/; unpack ", layout.url, " there"));
}

// Planar red, green, blue becomes NHWC. The errors go on from the file's name.
void append_records(const CifarLayout& layout, std::span<const std::byte> content, ImageSet& set) {
  const std::int64_t record = layout.label_bytes + kChannels * kPixels;
  const auto bytes = static_cast<std::int64_t>(content.size());
  if (bytes == 0 || bytes % record != 0) {
    throw FormatError(message(" has ", bytes, " bytes, not a whole number of records of ", record,
                              "; it is truncated or not a ", layout.name, " file"));
  }
  const std::int64_t count = bytes / record, first = set.size();
  set.images.resize(static_cast<std::size_t>((first + count) * kChannels * kPixels));
  set.labels.resize(static_cast<std::size_t>(first + count));
  for (std::int64_t i = 0; i < count; ++i) {
    const auto* in =
        reinterpret_cast<const std::uint8_t*>(content.data()) + i * record + layout.label_bytes;
    const std::int64_t label = in[-1];
    if (label >= layout.classes) {
      throw FormatError(message(": record ", i, " of ", count, " has label ", label,
                                ", the classes are 0 to ", layout.classes - 1));
    }
    set.labels[static_cast<std::size_t>(first + i)] = static_cast<std::int32_t>(label);
    std::uint8_t* out = set.images.data() + (first + i) * kChannels * kPixels;
    for (std::int64_t p = 0; p < kPixels; ++p) {
      for (std::int64_t c = 0; c < kChannels; ++c) *out++ = in[c * kPixels + p];
    }
  }
}

void append_file(const CifarLayout& layout, const fs::path& path, ImageSet& set) {
  const std::vector<std::byte> content = read_file(path);
  try {
    append_records(layout, content, set);
  } catch (const FormatError& error) {
    throw FormatError(path.string() + error.what());
  }
}

std::vector<std::string> read_class_names(const CifarLayout& layout, const fs::path& path) {
  std::vector<std::string> names;
  std::error_code ignored;
  if (!fs::exists(path, ignored)) {
    for (std::int64_t i = 0; i < layout.classes; ++i) names.push_back(std::to_string(i));
    return names;
  }
  std::istringstream in(read_text_file(path));
  for (std::string line; std::getline(in, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (!line.empty()) names.push_back(line);
  }
  if (static_cast<std::int64_t>(names.size()) != layout.classes) {
    throw FormatError(message(path.string(), " names ", names.size(), " classes, expected ",
                              layout.classes, " (without this file they are numbers)"));
  }
  return names;
}

}  // namespace

void append_cifar_records(Cifar kind, std::span<const std::byte> content, ImageSet& set) {
  set.h = set.w = kSize;
  set.c = kChannels;
  append_records(layout_of(kind), content, set);
}

Dataset load_cifar(Cifar kind, const std::string& folder) {
  const CifarLayout layout = layout_of(kind);
  const fs::path place = find_folder(layout, folder);
  Dataset data;
  data.name = layout.name;
  data.mean = layout.mean;
  data.std = layout.std;
  for (ImageSet* set : {&data.train, &data.test}) {
    set->h = set->w = kSize;
    set->c = kChannels;
  }
  FaultList faults;
  bool all_io = true;
  const auto try_to = [&](const auto& read) {
    try {
      read();
    } catch (const IoError& error) {
      faults.add(error.what());
    } catch (const FormatError& error) {
      faults.add(error.what());
      all_io = false;
    }
  };
  try_to([&] { data.class_names = read_class_names(layout, place / layout.names_file); });
  for (const std::string& file : layout.train_files) {
    try_to([&] { append_file(layout, place / file, data.train); });
  }
  try_to([&] { append_file(layout, place / layout.test_file, data.test); });
  if (faults.count() > 0) {
    const std::string text =
        message(layout.name, ": ", faults.text(), "; unpack ", layout.url, " again");
    if (all_io) throw IoError(text);
    throw FormatError(text);
  }
  data.fingerprint = fingerprint(data.train, data.test);
  return data;
}

}  // namespace msd
