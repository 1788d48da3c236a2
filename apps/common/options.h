// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/error.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library behind these classes
class App;
class Option;
}  // namespace CLI

namespace msd {

/// The command line is wrong. Thrown while it is parsed, it ends the program with code 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

/// One option of a CommandLine, which owns it: a handle, cheap to copy. What is set here returns
/// the handle, so that calls can follow one another.
class Option {
 public:
  /// Of no command line: never given; nothing else may be called.
  Option() = default;

  // Of a number; what it may be is in --help too.
  Option range(std::int64_t least, std::int64_t most) const;
  Option at_least(std::int64_t least) const;
  /// From 0 to 1.
  Option share() const;
  /// At least 0 and below 1.
  Option below_one() const;
  Option above_zero() const;

  /// Of a text: "" is a value like others; elsewhere an empty text is refused, as it is mostly a
  /// variable of a script that nobody set.
  Option may_be_empty() const;
  Option one_of(std::vector<std::string> choices) const;
  /// `problem` says what is wrong with a value; "" where nothing is.
  Option check(std::function<std::string(const std::string&)> problem) const;
  /// It must be given.
  Option required() const;
  /// It can be given with `other` only.
  Option needs(Option other) const;
  /// It can't be given with `other`, nor that with it.
  Option excludes(Option other) const;

  /// The heading of --help it is listed under.
  Option group(const std::string& heading) const;
  /// --help tells the value that the target has now.
  Option show_default() const;
  /// --help tells this as the default.
  Option default_text(const std::string& text) const;

  /// True where the command line has it.
  bool given() const;
  /// "--epochs"; of a positional argument its name.
  std::string name() const;
  std::string group_name() const;

 private:
  friend class CommandLine;
  explicit Option(CLI::Option* option) : option_(option) {}

  CLI::Option* option_ = nullptr;
};

/// What a program can be told: options that write to variables of the caller's, which must live
/// until parsing is over. Numbers are read as apps/common/number_text.h says, so that none is NaN
/// or infinite. Names are as "--precision,--dtype"; without dashes, a positional
/// argument; "!--no-x" in a flag's is its opposite.
class CommandLine {
 public:
  CommandLine(const std::string& description, const std::string& program);
  ~CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  const std::string& program() const;

  Option option(const std::string& names, std::string& target, const std::string& text);
  Option option(const std::string& names, int& target, const std::string& text);
  Option option(const std::string& names, std::int64_t& target, const std::string& text);
  Option option(const std::string& names, std::uint64_t& target, const std::string& text);
  Option option(const std::string& names, double& target, const std::string& text);
  /// As "20M".
  Option quantity(const std::string& names, double& target, const std::string& text);
  /// Takes any number of values.
  Option option(const std::string& names, std::vector<std::string>& target,
                const std::string& text);
  Option flag(const std::string& names, bool& target, const std::string& text);

  /// By one of its names; there must be such an option.
  Option find(const std::string& name) const;
  void remove(const std::string& name);
  /// In the order in which they were added, --help first.
  std::vector<Option> options() const;
  bool given(const std::string& name) const { return find(name).given(); }

  /// Of an option given several times the last value counts. Of options added later.
  void last_one_wins();
  /// Called when everything is parsed; it may throw UsageError.
  void on_parsed(std::function<void()> callback);

  /// Throws UsageError where the command line gives one of `options`, because `context`
  /// ("--dry-run", "a batch of 1") leaves it without effect: nobody should believe in an option
  /// that is not obeyed. Only what was typed counts, not defaults or what a run or checkpoint
  /// stored.
  void refuse_without_effect(std::initializer_list<std::string> options,
                             const std::string& context) const;

  /// Writes the targets. Throws UsageError.
  void parse(const std::vector<std::string>& arguments);
  /// What run() parsed, without the program's name.
  const std::vector<std::string>& arguments() const { return arguments_; }
  /// Parses, then runs `verb`, and maps what happens to an exit code: verb's; 0 after --help; 1 for
  /// a failure, with one line on stderr; 2 for wrong usage, with the nearest option where one is
  /// unknown.
  int run(int argc, char** argv, const std::function<int()>& verb);

 private:
  template <typename T>
  Option add_text(const std::string& names, T& target, const std::string& text);
  template <typename T>
  Option add_number(const std::string& names, T& target, const std::string& text,
                    std::string (*read)(std::string_view, T&), const char* type);
  int usage_error(const std::string& text) const;
  /// Says that `argument` is none of this command line, and what it may have been meant for.
  int unknown_argument(const std::string& argument) const;
  /// The first argument that looks like an option and is none; "" where there is none.
  std::string first_unknown_option() const;
  std::string nearest_option(const std::string& unknown) const;

  std::unique_ptr<CLI::App> app_;
  std::vector<std::string> arguments_;
};

}  // namespace msd
