// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <csignal>
#include <string>
#include <vector>

namespace msd {

/// Of a program that a signal stopped after StopSignals::finish(): nothing is lost.
constexpr int kStoppedExitCode = 130;

/// The signals that ask a program to stop: SIGINT, SIGTERM, SIGHUP (unless it is ignored, as nohup
/// has it), and what batch systems send ahead: SIGUSR1, SIGUSR2, SIGXCPU. As long as this lives,
/// one of them ends the process by that signal, at once, with one line on stderr and no file left
/// half written; from finish() on it only asks. A file that reaches the limit of `ulimit -f` is a
/// failed write. One at a time; not thread-safe.
class StopSignals {
 public:
  /// program: begins the lines.
  explicit StopSignals(const std::string& program);
  /// Puts back what was.
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /// From now on there is something to lose: the first signal sets the flag that this returns, with
  /// a line on stderr, and the others are passed over, as launchers send several. Only a SIGINT
  /// that comes 3 seconds or more after the first signal still ends the process at once.
  static const std::atomic<bool>& finish();
  /// What is printed may go to a pipe that nobody reads any more, as after Ctrl-C with `| tee`:
  /// from now on that ends nothing.
  static void outlive_readers();

 private:
  struct Before {
    int signal = 0;
    struct sigaction action {};
  };

  void handle(int signal, void (*handler)(int));

  std::vector<Before> before_;
};

}  // namespace msd
