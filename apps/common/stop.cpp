// SPDX-License-Identifier: MIT
#include "apps/common/stop.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <string_view>

#include "engine/files/file.h"

namespace msd {
namespace {

struct StopSignal {
  int number;
  std::string_view name;
};

constexpr StopSignal kStopSignals[] = {{SIGINT, "SIGINT"},   {SIGTERM, "SIGTERM"},
                                       {SIGHUP, "SIGHUP"},   {SIGUSR1, "SIGUSR1"},
                                       {SIGUSR2, "SIGUSR2"}, {SIGXCPU, "SIGXCPU"}};
constexpr std::int64_t kPatienceMs = 3000;

// For the handler, which may use what is async-signal-safe only.
char program_name[64];
std::atomic<bool> finishing{false}, stop_asked{false};
std::atomic<std::int64_t> asked_at{0};  // by the first signal; 0: by none

std::int64_t now_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

void say(int signal, std::string_view text) {
  char line[256];
  std::size_t size = 0;
  const auto add = [&](std::string_view part) {
    const std::size_t count = std::min(part.size(), sizeof line - size);
    std::memcpy(line + size, part.data(), count);
    size += count;
  };
  add(program_name);
  for (const StopSignal& known : kStopSignals) {
    if (known.number == signal) add(known.name);
  }
  add(text);
  static_cast<void>(!::write(STDERR_FILENO, line, size));
}

void end_by(int signal) {
  remove_unfinished_file();
  say(signal, ": ended before it was done; no file is half written\n");
  std::signal(signal, SIG_DFL);
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, signal);
  pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
  raise(signal);
}

extern "C" void on_stop_signal(int signal) {
  const int error = errno;
  std::int64_t first = 0;
  if (finishing && asked_at.compare_exchange_strong(first, now_ms())) {
    stop_asked = true;
    say(signal, signal == SIGINT ? ": finishing what is in hand; Ctrl-C again, 3 seconds later or "
                                   "more, ends at once\n"
                                 : ": finishing what is in hand\n");
  } else if (!finishing || (signal == SIGINT && now_ms() - first >= kPatienceMs)) {
    end_by(signal);
  }
  errno = error;
}

}  // namespace

StopSignals::StopSignals(const std::string& program) {
  const std::string prefix = program.substr(0, sizeof program_name - 3) + ": ";
  std::copy_n(prefix.c_str(), prefix.size() + 1, program_name);
  finishing = stop_asked = false;
  asked_at = 0;
  for (const StopSignal& each : kStopSignals) handle(each.number, on_stop_signal);
  handle(SIGXFSZ, SIG_IGN);
  handle(SIGPIPE, nullptr);
}

void StopSignals::handle(int signal, void (*handler)(int)) {
  Before before;
  before.signal = signal;
  sigaction(signal, nullptr, &before.action);
  before_.push_back(before);
  const bool keep = signal == SIGHUP && before.action.sa_handler == SIG_IGN;
  if (keep || handler == nullptr) return;
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(signal, &action, nullptr);
}

StopSignals::~StopSignals() {
  for (const Before& before : before_) sigaction(before.signal, &before.action, nullptr);
}

const std::atomic<bool>& StopSignals::finish() {
  finishing = true;
  return stop_asked;
}

void StopSignals::outlive_readers() { std::signal(SIGPIPE, SIG_IGN); }

}  // namespace msd
