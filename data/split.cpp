// SPDX-License-Identifier: MIT
#include "data/split.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "data/torch7_split.h"
#include "data/torch_split.h"
#include "engine/files/file.h"
#include "engine/files/json_text.h"
#include "engine/files/torch7_file.h"
#include "engine/files/torch_file.h"
#include "engine/random.h"
#include "kernels/check.h"

namespace msd {
namespace {

using nlohmann::json;

constexpr const char* kFormat = "msd-split";
constexpr int kVersion = 1;

/// The split of `size` images that holds out `holdout`: ascending, in range, none twice.
Split complement(std::int64_t size, std::vector<std::int64_t> holdout) {
  Split split;
  split.train.reserve(static_cast<std::size_t>(size) - holdout.size());
  std::size_t next = 0;
  for (std::int64_t i = 0; i < size; ++i) {
    if (next < holdout.size() && holdout[next] == i) {
      ++next;
    } else {
      split.train.push_back(i);
    }
  }
  split.holdout = std::move(holdout);
  return split;
}

std::string describe(const std::string& name, std::int64_t size, const std::string& fingerprint) {
  return message(name, " (", size, " training images, ", fingerprint, ")");
}

Split parse(const json& file, const Dataset& data) {
  const auto format = file.at("format").get<std::string>();
  int version = 0;
  read_member(file, "version", version);
  if (format != kFormat || version != kVersion) {
    throw FormatError(message("not a split of version ", kVersion));
  }
  const auto name = file.at("dataset").get<std::string>();
  std::int64_t size = 0;
  read_member(file, "size", size);
  const auto fingerprint = file.at("fingerprint").get<std::string>();
  if (name != data.name || size != data.train.size() || fingerprint != data.fingerprint) {
    throw ConfigError(message("splits ", describe(name, size, fingerprint), ", not ",
                              describe(data.name, data.train.size(), data.fingerprint),
                              "; choose the split made for this data set"));
  }
  std::vector<std::int64_t> holdout;
  read_member(file, "holdout", holdout);
  std::int64_t least = 0;
  for (std::size_t position = 0; position < holdout.size(); ++position) {
    const std::int64_t index = holdout[position];
    if (index < least || index >= size) {
      throw FormatError(message("hold-out index ", index, " at position ", position,
                                "; indices ascend within 0 to ", size - 1));
    }
    least = index + 1;
  }
  if (static_cast<std::int64_t>(holdout.size()) == size) {
    throw FormatError(message("holds out all ", size, " images"));
  }
  return complement(size, std::move(holdout));
}

}  // namespace

Split make_split(const Dataset& data, std::int64_t holdout, HoldoutMode mode, std::uint64_t seed) {
  const std::int64_t size = data.train.size();
  if (holdout < 0 || holdout >= size) {
    throw ConfigError(
        message("--holdout ", holdout, " of ", size, " training images; use 0 to ", size - 1));
  }
  std::vector<std::int64_t> chosen;
  if (mode == HoldoutMode::last) {
    for (std::int64_t i = size - holdout; i < size; ++i) chosen.push_back(i);
  } else {
    RandomStream random(seed, RandomPurpose::holdout);
    chosen = random_permutation(size, random);
    chosen.resize(static_cast<std::size_t>(holdout));
    std::sort(chosen.begin(), chosen.end());
  }
  return complement(size, std::move(chosen));
}

void save_split(const std::string& path, const Dataset& data, const Split& split) {
  const json file = {{"format", kFormat},
                     {"version", kVersion},
                     {"dataset", data.name},
                     {"size", data.train.size()},
                     {"fingerprint", data.fingerprint},
                     {"holdout", split.holdout}};
  write_file_atomically(path, file.dump() + "\n");
}

Split load_split(const std::string& path, const Dataset& data, std::int64_t holdout) {
  const FileBytes file(path);
  const std::span<const std::byte> bytes = file.bytes();
  try {
    if (looks_like_torch(bytes)) return torch_split(TorchFile(bytes).root(), data, holdout);
    if (holdout >= 0) {
      throw ConfigError("says itself which images are held out; leave --holdout out");
    }
    if (looks_like_torch7(bytes)) return torch7_split(Torch7File(bytes).root(), data);
    constexpr int kDeepest = 2;  // an index of the list
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return parse(parse_json(text, bytes.size(), kDeepest), data);
  } catch (const json::exception& error) {
    throw FormatError(message(path, ": ", json_problem(error)));
  } catch (const FormatError& error) {
    throw FormatError(message(path, ": ", error.what()));
  } catch (const ConfigError& error) {
    throw ConfigError(message(path, ": ", error.what()));
  }
}

}  // namespace msd
