// SPDX-License-Identifier: MIT
// The tree as ARCHITECTURE.md draws it: no room includes one built on it, and none is a hall.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

namespace msd::tree::test {
namespace {

namespace fs = std::filesystem;
using Strings = std::vector<std::string>;

/// Sources whose paths begin with `path`, but for those of a room with a longer one.
struct Room {
  std::string path;
  Strings includes;  // beside itself: beginnings of paths
};

Strings operator+(Strings a, const Strings& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

const Strings kWords = {"kernels/error.", "kernels/check.",
                        "kernels/view."};  // of errors and of memory
const Strings kOps = kWords + Strings{"kernels/op", "kernels/contracts/"};
const Strings kKernels =
    kOps + Strings{"kernels/cpu/device/", "kernels/cuda/device/", "kernels/libraries/"};
const Strings kEngine = kKernels + Strings{"engine/"};
const Strings kPrograms = kEngine + Strings{"data/", "models/", "apps/common/"};

// From the ground up. What a room includes lies before it, so that there can be no circle.
const std::vector<Room> kRooms = {
    {"kernels/error.", {}},
    {"kernels/check.", {"kernels/error."}},
    {"kernels/view.", {"kernels/error.", "kernels/check."}},
    {"kernels/contracts/", kWords},
    {"kernels/op", kWords + Strings{"kernels/contracts/"}},  // op_list.inc, ops.h
    {"kernels/cpu/device/", kOps},
    {"kernels/cpu/convolution/", kOps + Strings{"kernels/cpu/device/"}},
    {"kernels/cpu/", kOps + Strings{"kernels/cpu/device/"}},
    {"kernels/cuda/device/", kOps},
    {"kernels/libraries/", kOps + Strings{"kernels/cuda/device/"}},
    {"kernels/cuda/convolution/", kOps + Strings{"kernels/cuda/device/", "kernels/libraries/"}},
    {"kernels/cuda/", kOps + Strings{"kernels/cuda/device/", "kernels/libraries/"}},
    {"kernels/", kOps + Strings{"kernels/cpu/device/", "kernels/cuda/device/"}},  // dispatch.cpp
    {"engine/allocator.", kWords},
    {"engine/tensor.", kWords + Strings{"engine/allocator."}},
    {"engine/files/", kWords + Strings{"engine/allocator.", "engine/tensor."}},
    {"engine/", kKernels + Strings{"engine/allocator.", "engine/tensor.", "engine/files/"}},
    {"engine/autograd/", kEngine},
    {"data/", kEngine},
    {"models/network/", kEngine},
    {"models/exits/", kEngine + Strings{"models/network/"}},
    {"models/weights/", kEngine + Strings{"models/network/"}},
    {"models/training/", kEngine + Strings{"models/network/", "models/exits/"}},
    {"models/inference/", kEngine + Strings{"models/network/", "models/exits/"}},
    {"models/onnx/", kEngine + Strings{"models/network/", "models/inference/"}},
    {"models/api/", kEngine + Strings{"data/", "models/network/", "models/exits/",
                                      "models/weights/", "models/inference/"}},
    {"apps/common/", kEngine + Strings{"data/", "models/"}},
    {"apps/train/", kPrograms},
    {"apps/eval/", kPrograms},
    {"apps/infer/", kPrograms},
    {"apps/convert/", kPrograms},
};

/// The room that a path of the tree is in, or the end.
std::vector<Room>::const_iterator room_of(const std::string& path) {
  auto best = kRooms.end();
  for (auto room = kRooms.begin(); room != kRooms.end(); ++room) {
    if (path.starts_with(room->path) &&
        (best == kRooms.end() || room->path.size() > best->path.size())) {
      best = room;
    }
  }
  return best;
}

bool may_include(const Room& room, const std::string& path) {
  const auto allowed = [&](const std::string& beginning) { return path.starts_with(beginning); };
  return room_of(path)->path == room.path ||
         std::any_of(room.includes.begin(), room.includes.end(), allowed);
}

struct Source {
  std::string path;  // from the root of the tree
  Strings lines;
  Strings includes;  // quoted or in brackets, without either
  bool is_header() const { return path.ends_with(".h") || path.ends_with(".cuh"); }
};

std::string included_by(const std::string& line) {
  const std::size_t word = line.find("#include");
  if (word == std::string::npos || line.find_first_not_of(" \t") != word) return "";
  const std::size_t first = line.find_first_of("\"<", word);
  const std::size_t last = line.find_first_of("\">", first + 1);
  return last == std::string::npos ? "" : line.substr(first + 1, last - first - 1);
}

std::vector<Source> sources_in(const Strings& folders) {
  const std::set<std::string> endings = {".h", ".cpp", ".cuh", ".cu", ".inc"};
  const fs::path root = MSD_SOURCE_FOLDER;
  std::vector<Source> sources;
  for (const std::string& folder : folders) {
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      if (!entry.is_regular_file() || !endings.contains(entry.path().extension().string()))
        continue;
      Source source;
      source.path = fs::relative(entry.path(), root).generic_string();
      std::ifstream file(entry.path());
      for (std::string line; std::getline(file, line);) {
        if (std::string included = included_by(line); !included.empty()) {
          source.includes.push_back(std::move(included));
        }
        source.lines.push_back(std::move(line));
      }
      sources.push_back(std::move(source));
    }
  }
  return sources;
}

const std::vector<Source>& library_and_programs() {
  static const auto sources = sources_in({"kernels", "engine", "data", "models", "apps"});
  return sources;
}

// The face's headers are included as their users do.
std::string path_in_tree(const std::string& included) {
  return included.starts_with("msd/") ? "models/api/" + included : included;
}

TEST(Rooms, IncludeWhatLiesBelowThem) {
  std::size_t arrows = 0;
  for (const Source& source : library_and_programs()) {
    const auto room = room_of(source.path);
    ASSERT_NE(room, kRooms.end()) << source.path << ": in no room of kRooms";
    for (const std::string& included : source.includes) {
      const std::string path = path_in_tree(included);
      if (room_of(path) == kRooms.end()) continue;  // the system's
      ++arrows;
      EXPECT_TRUE(may_include(*room, path))
          << source.path << " includes " << included << ", but " << room->path << " may not";
    }
  }
  EXPECT_GT(arrows, 500U) << "the search found hardly an include";
}

TEST(Rooms, MakeNoCircle) {
  for (auto room = kRooms.begin(); room != kRooms.end(); ++room) {
    for (auto other = room + 1; other != kRooms.end(); ++other) {
      EXPECT_FALSE(may_include(*room, other->path)) << room->path << " includes " << other->path;
    }
    EXPECT_TRUE(fs::exists(fs::path(MSD_SOURCE_FOLDER) / room->path) || !room->path.ends_with('/'))
        << room->path << " does not exist";
  }
}

TEST(Rooms, SeeWhatIsForbidden) {
  const auto may = [](const char* from, const char* what) {
    return may_include(*room_of(from), what);
  };
  EXPECT_FALSE(may("kernels/contracts/pooling.h", "kernels/cuda/device/context.h"));
  EXPECT_FALSE(may("engine/tensor.h", "engine/tape.h"));
  EXPECT_FALSE(may("data/loader.cpp", "models/network/config.h"));
  EXPECT_FALSE(may("models/network/cost.cpp", "models/inference/plan.h"));
  EXPECT_FALSE(may("models/inference/plan.cpp", "data/image_file.h"));
  EXPECT_FALSE(may("apps/train/train.cpp", "apps/eval/eval.h"));
  EXPECT_TRUE(may("models/inference/plan.cpp", "models/network/config.h"));
  EXPECT_EQ(included_by("#include \"a/b.h\"  // why"), "a/b.h");
  EXPECT_EQ(included_by("  #include <vector>"), "vector");
  EXPECT_EQ(included_by("// #include \"a/b.h\""), "");
}

// Each costs a source that reads it a second or more to compile.
TEST(Rooms, KeepLargeHeadersOutOfHeaders) {
  const std::string parser = "CLI/CLI.hpp", json = "nlohmann/json.hpp";
  Strings with_parser;
  for (const Source& source : library_and_programs()) {
    for (const std::string& included : source.includes) {
      EXPECT_FALSE(source.is_header() && included == json) << source.path << " includes " << json;
      if (included == parser) with_parser.push_back(source.path);
    }
  }
  EXPECT_EQ(with_parser, Strings{"apps/common/options.cpp"});
}

TEST(Rooms, AreNotHalls) {
  constexpr std::size_t kMost = 450;
  for (const Source& source :
       sources_in({"kernels", "engine", "data", "models", "apps", "tests", "bench"})) {
    EXPECT_LE(source.lines.size(), kMost) << source.path;
  }
}

}  // namespace
}  // namespace msd::tree::test
