// SPDX-License-Identifier: MIT
// Damaged and hostile files of each format: an error or values within the file's size, and memory
// within 3 times the file and 16 MB.
#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <string>

#include "engine/files/safetensors.h"
#include "engine/files/torch_file.h"
#include "engine/random.h"
#include "tests/support/errors.h"
#include "tests/support/pickle_bytes.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tensors.h"

namespace msd {
namespace {

using test::as_bytes;
using test::list_of;
using test::storage;
using test::tensor;

void read_torch(const std::string& file) { TorchFile read(as_bytes(file)); }
void read_safetensors(const std::string& file) {
  const auto bytes = as_bytes(file);
  parse_safetensors(std::make_shared<const FileBytes>(std::vector(bytes.begin(), bytes.end())));
}

struct Format {
  const char* name;
  void (*read)(const std::string&);
  std::function<std::string()> good;
};

std::string torch_root() {
  const std::string floats = storage("FloatStorage", "0", 6);
  return list_of({tensor(floats, 0, {2, 3}, {3, 1}), tensor(floats, 1, {2, 2}, {1, 2}),
                  tensor(storage("LongStorage", "1", 1), 0, {}, {}),
                  "}" + test::text("k") + "K\1s"});
}
const std::string kFloats = test::raw<float>({0, 1, 2, 3, 4, 5}), kLong(8, '\1');

const Format kFormats[] = {
    {"zip", read_torch,
     [] {
       return test::torch_zip(torch_root(), {{"0", kFloats}, {"1", kLong}});
     }},
    {"legacy", read_torch,
     [] {
       return test::torch_legacy(torch_root(), {{"0", 6, kFloats}, {"1", 1, kLong}});
     }},
    {"safetensors", read_safetensors, [] {
       const test::TempFolder folder;
       write_safetensors(folder / "good", {{"a", test::make_tensor({3, 2}, {1, 2, 3, 4, 5, 6})},
                                           {"b", test::make_counter(9)}});
       return read_text_file(folder / "good");
     }}};

class Damage : public testing::TestWithParam<Format> {};

TEST_P(Damage, TruncationAtEveryByteIsAnError) {
  const std::string good = GetParam().good();
  EXPECT_NO_THROW(GetParam().read(good));
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_TRUE(test::throws<FormatError>([&] { GetParam().read(good.substr(0, size)); })) << size;
  }
}

TEST_P(Damage, ChangedBytesAreAnErrorOrHarmless) {
  const std::string good = GetParam().good();
  RandomStream random(1, RandomPurpose::test);
  int refused = 0;
  for (int i = 0; i < 10000; ++i) {
    std::string damaged = good;
    const auto at = static_cast<std::size_t>(random.below(static_cast<std::int64_t>(good.size())));
    damaged[at] = static_cast<char>(damaged[at] + 1 + random.below(255));
    try {
      GetParam().read(damaged);
    } catch (const FormatError& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      ++refused;
    }
  }
  EXPECT_GT(refused, 3000);
}

INSTANTIATE_TEST_SUITE_P(Formats, Damage, testing::ValuesIn(kFormats),
                         [](const auto& format) { return format.param.name; });

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // whose own memory would be counted
#else
constexpr bool kSanitized = false;
#endif

// How much the peak memory of a process of its own grows while it reads the file; -1 where it
// neither read nor refused it.
long growth_bytes(const std::function<void()>& read) {
  int ends[2];
  if (::pipe(ends) != 0) return -1;
  const pid_t child = ::fork();
  if (child == 0) {
    long growth = -1;
    const auto peak = [] {
      // Of this process alone: getrusage would start with the peak of the one that forked it.
      std::ifstream status("/proc/self/status");
      for (std::string line; std::getline(status, line);) {
        if (line.starts_with("VmHWM:")) return std::stol(line.substr(6)) * 1024;
      }
      return 0L;
    };
    ::malloc_trim(0);  // memory that is already there would be used again
    std::ofstream("/proc/self/clear_refs") << 5;  // the peak starts anew
    const long before = peak();
    try {
      read();
    } catch (const Error&) {
    } catch (...) {
      ::_exit(1);
    }
    growth = peak() - before;
    if (::write(ends[1], &growth, sizeof(growth)) != sizeof(growth)) ::_exit(1);
    ::_exit(0);
  }
  ::close(ends[1]);
  long growth = -1;
  if (::read(ends[0], &growth, sizeof(growth)) != sizeof(growth)) growth = -1;
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return growth;
}

std::string repeated(const std::string& part, std::size_t bytes) {
  std::string out;
  while (out.size() < bytes) out += part;
  return out;
}

std::string safetensors_of(const std::string& header) {
  return test::raw<std::uint64_t>({header.size()}) + header;
}

TEST(HostileFile, MemoryIsBounded) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's own memory would be counted";
  constexpr std::size_t kBytes = 4 << 20;
  const std::string floats = storage("FloatStorage", "0", 6);
  const std::string memo = floats + "q\1" + test::tuple({2, 3}) + "q\2";
  std::string keys = "{";
  for (int i = 0; keys.size() < kBytes; ++i) keys += "\"" + std::to_string(i) + "\":1,";
  std::string tensors = "{";
  for (int i = 0; tensors.size() < kBytes; ++i) {
    tensors += "\"" + std::to_string(i) + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)";
  }
  const auto torch = [](const std::string& pickle) {
    return std::pair("torch", test::torch_legacy("\x80\x02" + pickle, {}));
  };
  const auto zip = [](const std::string& pickle) {
    return std::pair("torch", test::torch_zip("\x80\x02" + pickle, {}));
  };
  const std::pair<const char*, std::string> files[] = {
      torch(repeated("]", kBytes)),
      torch(repeated("(", kBytes)),
      torch("N" + repeated("\x94", kBytes)),
      torch("N" + repeated("2", kBytes)),
      torch("]" + repeated("Na", kBytes)),
      torch("](" + repeated("N", kBytes) + "e."),
      torch("}(" + repeated("N", kBytes) + "u."),
      torch(repeated("\x8c\x10" + std::string(16, 's'), kBytes)),
      torch(repeated("G12345678", kBytes)),
      zip(repeated("K\1\x85\x94", kBytes)),
      zip("](" + repeated("N", kBytes / 64) + "eq\1" +
          repeated(test::global("torch", "Size") + "h\1\x85R", kBytes / 2)),
      torch(storage("FloatStorage", "0", std::int64_t{1} << 60) + "."),
      {"torch", test::torch_legacy("\x80\x02" + storage("FloatStorage", "0", kBytes / 4) + ".",
                                   {{"0", kBytes / 4, repeated("data", kBytes)}})},
      {"safetensors", safetensors_of(keys + "\"x\":1}")},
      {"safetensors", safetensors_of(tensors.substr(0, tensors.size() - 1) + "}")},
      {"safetensors", safetensors_of("{\"a\":[" + repeated("1,", kBytes) + "1]}")},
      {"safetensors", safetensors_of(repeated("{\"a\":", kBytes))},
      {"torch", "PK\x03\x04" + repeated("PK\x01\x02" + std::string(42, '\0'), kBytes)}};
  for (const auto& [format, file] : files) {
    SCOPED_TRACE(format + (" " + printable(file)));
    const auto read = *format == 't' ? read_torch : read_safetensors;
    const long growth = growth_bytes([&, &bytes = file] { read(bytes); });
    EXPECT_GE(growth, 0);
    // The file itself is in memory before.
    EXPECT_LE(growth, static_cast<long>(2 * file.size() + (16 << 20)));
  }
}

}  // namespace
}  // namespace msd
