// SPDX-License-Identifier: MIT
// What a signal does to a program: a run in training is saved, whatever the signal and however
// often it comes; before and elsewhere a program ends at once, and loses nothing.
#include "apps/common/stop.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <regex>
#include <thread>

#include "engine/files/file.h"
#include "engine/files/file_system.h"
#include "models/weights/checkpoint.h"
#include "tests/apps/programs.h"

namespace msd::test {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

void sleep_ms(int ms) { std::this_thread::sleep_for(milliseconds(ms)); }

void wait_for(const fs::path& file) {
  const auto deadline = Clock::now() + std::chrono::seconds(60);
  while (!fs::exists(file) && Clock::now() < deadline) sleep_ms(1);
}

class StopTest : public testing::Test {
 protected:
  Arguments arguments(const std::string& run, const Arguments& more) const {
    return kSmallNetwork + Arguments{"--threads", "1", "--run-dir", folder_.path(run)} + more;
  }
  std::string latest(const std::string& run) const {
    return folder_.path(run) + "/checkpoint-latest.safetensors";
  }
  void expect_resumes_to(const std::string& run, const std::string& expected) const {
    ASSERT_TRUE(succeeds(run_program("msd-train", {"--run-dir", folder_.path(run), "--resume"})));
    EXPECT_TRUE(read_text_file(latest(run)) == expected);
  }

  const TempFolder folder_;
};

TEST_F(StopTest, EverySignalSavesAndMoreOfThemLoseNothing) {
  // Steps so long that the signals come in the first of an epoch.
  const Arguments run = {
      "--synthetic-train", "1000", "--synthetic-test", "8", "--batch-size", "180",
      "--epochs",          "1",    "--seed",           "5"};
  ASSERT_TRUE(succeeds(run_program("msd-train", arguments("whole", run))));
  const std::string expected = read_text_file(latest("whole"));
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU}) {
    SCOPED_TRACE("signal " + std::to_string(signal));
    const std::string name = "run" + std::to_string(signal);
    BackgroundProgram program("msd-train", arguments(name, run), folder_.path(name + ".log"));
    wait_for(folder_ / name / "config.json");
    program.send(signal);
    sleep_ms(20);
    program.send(signal);
    program.send(SIGTERM);
    ASSERT_EQ(program.wait(), 130);
    const std::string log = read_text_file(folder_ / (name + ".log"));
    EXPECT_NE(log.find(": finishing what is in hand"), std::string::npos) << log;
    EXPECT_NE(log.find("--resume"), std::string::npos) << log;
    expect_resumes_to(name, expected);
  }
}

TEST_F(StopTest, AnIgnoredHangUpStaysIgnored) {
  const Arguments run = {"--synthetic-train", "100", "--synthetic-test", "8",
                         "--epochs",          "300", "--batch-size",     "16"};
  const auto before = std::signal(SIGHUP, SIG_IGN);
  BackgroundProgram program("msd-train", arguments("run", run));
  std::signal(SIGHUP, before);
  wait_for(folder_ / "run" / "config.json");
  program.send(SIGHUP);
  sleep_ms(100);
  EXPECT_FALSE(program.ended().has_value());
  EXPECT_EQ(program.end(SIGTERM), 130);
}

// Two steps of 9 images and an evaluation of thousands: one of the delays, each twice the last,
// falls into the latter.
TEST_F(StopTest, IsHeardWhileAnEpochIsEvaluated) {
  const Arguments run = {"--synthetic-train", "20", "--synthetic-test", "3000", "--batch-size", "9",
                         "--epochs",          "1",  "--seed",           "5"};
  const auto state_of = [&](const std::string& name) {
    return read_checkpoint(latest(name)).training->at("state");
  };
  std::string caught;
  for (int delay = 50; caught.empty() && delay < 10'000; delay *= 2) {
    const std::string name = "run" + std::to_string(delay);
    BackgroundProgram program("msd-train", arguments(name, run));
    wait_for(folder_ / name / "config.json");
    sleep_ms(delay);
    const int code = program.end(SIGTERM);
    if (code == 130 && state_of(name).at("step") == 2) caught = name;
  }
  ASSERT_FALSE(caught.empty());
  EXPECT_EQ(state_of(caught).at("epoch"), 0);
  ASSERT_TRUE(succeeds(run_program("msd-train", arguments("whole", run))));
  expect_resumes_to(caught, read_text_file(latest("whole")));
  const auto line = [&](const std::string& of) {
    return json_lines(read_text_file(folder_ / of / "metrics.jsonl")).at(0);
  };
  EXPECT_EQ(line(caught).at("test"), line("whole").at("test"));
  EXPECT_EQ(line(caught).at("train"), line("whole").at("train"));
}

// Held up by a pipe, whose writer knows when it is read and writes nothing.
TEST_F(StopTest, EndsAProgramThatLoadsAtOnce) {
  folder_.write("data/test_batch.bin", std::string());
  const std::string pipe = folder_.path("data/data_batch_1.bin"), log = folder_.path("log");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const std::vector<std::pair<std::string, Arguments>> programs = {
      {"msd-train", arguments("run", {"--dataset", "cifar10", "--data", folder_.path("data")})},
      {"msd-eval", {"--weights", pipe}},
      {"msd-infer", {"--weights", pipe, pipe}},
      {"msd-convert", {pipe, folder_.path("out.pth")}}};
  for (const auto& [name, given] : programs) {
    for (const int signal : {SIGTERM, SIGUSR1}) {
      BackgroundProgram program(name, given, log);
      const int writer = ::open(pipe.c_str(), O_WRONLY | O_CLOEXEC);
      const auto start = Clock::now();
      EXPECT_EQ(program.end(signal), 128 + signal) << name;
      EXPECT_LT(Clock::now() - start, std::chrono::seconds(5));
      ::close(writer);
    }
    const std::string said = read_text_file(log);
    EXPECT_NE(said.find(name + ": SIGTERM: ended before it was done"), std::string::npos) << said;
  }
  EXPECT_EQ(folder_.list(), (std::vector<std::string>{"data", "log"}));
}

TEST_F(StopTest, APipeWithoutReaderEndsNoRun) {
  const std::string out = folder_.path("out");
  ASSERT_EQ(::mkfifo(out.c_str(), 0600), 0);
  const int reader = ::open(out.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  const auto before = std::signal(SIGPIPE, SIG_DFL);
  BackgroundProgram program("msd-train",
                            arguments("run", {"--synthetic-train", "40", "--synthetic-test", "8",
                                              "--epochs", "30", "--batch-size", "16"}),
                            out);
  std::signal(SIGPIPE, before);
  wait_for(folder_ / "run" / "config.json");
  ::close(reader);
  EXPECT_EQ(program.wait(), 0);
  EXPECT_EQ(read_checkpoint(latest("run")).training->at("state").at("epoch"), 30);
}

class StopInferTest : public ProgramTest {};

// The second of three images is a pipe: who opens it knows that the program waits for it.
TEST_F(StopInferTest, PrintsWhatItHas) {
  const std::string image = "P6\n32 32\n255\n" + std::string(std::size_t{3} * 32 * 32, '\x40');
  const std::string file = folder_.write("image.ppm", image), pipe = path("pipe.ppm");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  BackgroundProgram program("msd-infer",
                            {"--weights", weights_, "--json", "--threads", "1", file, pipe, file},
                            path("log"));
  {
    std::ofstream writer(pipe, std::ios::binary);
    sleep_ms(50);  // the first is printed
    program.send(SIGTERM);
    sleep_ms(50);
    writer << image;
  }
  EXPECT_EQ(program.wait(), 130);
  const std::string log = read_text_file(path("log"));
  // The one that was waited for may count or not.
  std::smatch done;
  ASSERT_TRUE(std::regex_search(log, done, std::regex("stopped after ([12]) of 3 images"))) << log;
  EXPECT_NE(log.find("{\"input\":\"" + file), std::string::npos) << log;
  EXPECT_NE(log.find("\"summary\":{\"samples\":" + done.str(1)), std::string::npos) << log;
}

TEST(StopSignals, EndByTheSignalUntilThereIsSomethingToLose) {
  EXPECT_EXIT(
      {
        const StopSignals signals("program");
        std::raise(SIGUSR1);
      },
      testing::KilledBySignal(SIGUSR1), "program: SIGUSR1: ended before it was done");
}

TEST(StopSignals, OnlyALaterCtrlCEndsWhatIsBeingFinished) {
  EXPECT_EXIT(
      {
        const StopSignals signals("program");
        const std::atomic<bool>& stop = StopSignals::finish();
        if (stop) std::exit(3);
        for (const int signal : {SIGINT, SIGINT, SIGTERM, SIGHUP}) std::raise(signal);
        if (!stop) std::exit(4);
        sleep_ms(3100);
        std::raise(SIGTERM);
        std::raise(SIGINT);
      },
      testing::KilledBySignal(SIGINT), "Ctrl-C again.*\n.*SIGINT: ended");
}

/// A signal comes while a file is being written.
class SignalledFileSystem : public FileSystem {
 public:
  int fsync(int fd) override {
    std::raise(SIGTERM);
    return FileSystem::fsync(fd);
  }
};

TEST(StopSignals, LeaveNoFileHalfWritten) {
  const TempFolder folder;
  write_file_atomically(folder / "file", "old");
  EXPECT_EXIT(
      {
        const StopSignals signals("program");
        SignalledFileSystem files;
        const FileSystemOverride override(files);
        write_file_atomically(folder / "file", "new");
      },
      testing::KilledBySignal(SIGTERM), "no file is half written");
  EXPECT_EQ(folder.list(), std::vector<std::string>{"file"});
  EXPECT_EQ(read_text_file(folder / "file"), "old");
}

TEST(StopSignals, PutBackWhatWas) {
  const auto handler = [] {
    struct sigaction action {};
    sigaction(SIGTERM, nullptr, &action);
    return action.sa_handler;
  };
  const auto before = handler();
  {
    const StopSignals signals("program");
    EXPECT_NE(handler(), before);
  }
  EXPECT_EQ(handler(), before);
}

}  // namespace
}  // namespace msd::test
