// SPDX-License-Identifier: MIT
#include "apps/common/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <iostream>
#include <utility>

#include "apps/common/error_text.h"
#include "apps/common/number_text.h"
#include "apps/common/stop.h"
#include "kernels/check.h"

namespace msd {
namespace {

// Levenshtein's distance.
std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row.back();
}

constexpr const char* kNotEmpty = "not empty";

// Refuses numbers that are not `within`, which `allowed` says in words. What is no number is its
// type's to refuse.
template <typename Within>
void refuse_outside(CLI::Option* option, const std::string& allowed, Within within) {
  option->check(CLI::Validator(
      [=](const std::string& text) -> std::string {
        double value = 0;
        if (!read_number(text, value).empty() || within(value)) return "";
        return text + " is out of range; it must be " + allowed;
      },
      allowed, ""));
}

}  // namespace

Option Option::range(std::int64_t least, std::int64_t most) const {
  const auto low = static_cast<double>(least), high = static_cast<double>(most);
  refuse_outside(option_, message(least, " to ", most),
                 [=](double v) { return v >= low && v <= high; });
  return *this;
}

Option Option::at_least(std::int64_t least) const {
  const auto low = static_cast<double>(least);
  refuse_outside(option_, message("at least ", least), [=](double v) { return v >= low; });
  return *this;
}

Option Option::share() const { return range(0, 1); }

Option Option::below_one() const {
  refuse_outside(option_, "at least 0 and below 1", [](double v) { return v >= 0 && v < 1; });
  return *this;
}

Option Option::above_zero() const {
  refuse_outside(option_, "above 0", [](double v) { return v > 0; });
  return *this;
}

Option Option::may_be_empty() const {
  option_->get_validator(kNotEmpty)->active(false);
  return *this;
}

Option Option::one_of(std::vector<std::string> choices) const {
  std::string set, words;
  for (const std::string& choice : choices) {
    set += (set.empty() ? "{" : ",") + choice;
    words += (words.empty() ? "" : &choice == &choices.back() ? " or " : ", ") + choice;
  }
  option_->check(CLI::Validator(
      [choices = std::move(choices), words](const std::string& text) -> std::string {
        if (std::find(choices.begin(), choices.end(), text) != choices.end()) return "";
        return message('"', printable(text), "\" is unknown; give ", words);
      },
      set + "}", ""));
  return *this;
}

Option Option::check(std::function<std::string(const std::string&)> problem) const {
  option_->check(std::move(problem));
  return *this;
}

Option Option::required() const {
  option_->required();
  return *this;
}

Option Option::needs(Option other) const {
  option_->needs(other.option_);
  return *this;
}

Option Option::excludes(Option other) const {
  option_->excludes(other.option_);
  return *this;
}

Option Option::group(const std::string& heading) const {
  option_->group(heading);
  return *this;
}

Option Option::show_default() const {
  option_->capture_default_str();
  return *this;
}

Option Option::default_text(const std::string& text) const {
  option_->default_str(text);
  return *this;
}

bool Option::given() const { return option_ != nullptr && option_->count() > 0; }

std::string Option::name() const { return option_->get_name(); }

std::string Option::group_name() const { return option_->get_group(); }

CommandLine::CommandLine(const std::string& description, const std::string& program)
    : app_(std::make_unique<CLI::App>(description, program)) {}

CommandLine::~CommandLine() = default;

const std::string& CommandLine::program() const { return app_->get_name(); }

template <typename T>
Option CommandLine::add_text(const std::string& names, T& target, const std::string& text) {
  CLI::Option* option = app_->add_option(names, target, text);
  option->check(CLI::Validator(
      [](const std::string& value) -> std::string {
        return value.empty() ? "its value is empty" : "";
      },
      "", kNotEmpty));
  // Of an option; what is a positional argument and begins so comes after "--".
  if (names.starts_with("-")) {
    option->check([](const std::string& value) -> std::string {
      if (!value.starts_with("--")) return "";
      return message("a value is missing before ", printable(value));
    });
  }
  return Option(option);
}

template <typename T>
Option CommandLine::add_number(const std::string& names, T& target, const std::string& text,
                               std::string (*read)(std::string_view, T&), const char* type) {
  CLI::Option* option = app_->add_option(
      names,
      [&target, read](const CLI::results_t& values) { return read(values.back(), target).empty(); },
      text, /*defaulted=*/false, [&target] { return message(target); });
  option->type_name(type);
  option->check([read](const std::string& value) {
    T unused{};
    return read(value, unused);
  });
  return Option(option);
}

Option CommandLine::option(const std::string& names, std::string& target, const std::string& text) {
  return add_text(names, target, text);
}

Option CommandLine::option(const std::string& names, int& target, const std::string& text) {
  return add_number<int>(names, target, text, read_number, "INT");
}

Option CommandLine::option(const std::string& names, std::int64_t& target,
                           const std::string& text) {
  return add_number<std::int64_t>(names, target, text, read_number, "INT");
}

Option CommandLine::option(const std::string& names, std::uint64_t& target,
                           const std::string& text) {
  return add_number<std::uint64_t>(names, target, text, read_number, "UINT");
}

Option CommandLine::option(const std::string& names, double& target, const std::string& text) {
  return add_number<double>(names, target, text, read_number, "FLOAT");
}

Option CommandLine::quantity(const std::string& names, double& target, const std::string& text) {
  return add_number<double>(names, target, text, read_quantity, "QUANTITY");
}

Option CommandLine::option(const std::string& names, std::vector<std::string>& target,
                           const std::string& text) {
  return add_text(names, target, text);
}

Option CommandLine::flag(const std::string& names, bool& target, const std::string& text) {
  CLI::Option* option = app_->add_flag(names, target, text);
  option->check([](const std::string& value) -> std::string {  // of --json=VALUE
    const bool known = value == "true" || value == "false" || value == "1" || value == "0";
    return known ? "" : message('"', printable(value), "\" is neither true nor false");
  });
  return Option(option);
}

Option CommandLine::find(const std::string& name) const { return Option(app_->get_option(name)); }

void CommandLine::remove(const std::string& name) { app_->remove_option(app_->get_option(name)); }

std::vector<Option> CommandLine::options() const {
  std::vector<Option> options;
  for (CLI::Option* option : app_->get_options()) options.push_back(Option(option));
  return options;
}

void CommandLine::last_one_wins() {
  app_->option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

void CommandLine::on_parsed(std::function<void()> callback) { app_->callback(std::move(callback)); }

void CommandLine::refuse_without_effect(std::initializer_list<std::string> options,
                                        const std::string& context) const {
  for (const std::string& option : options) {
    if (given(option)) throw UsageError(option + " has no effect with " + context);
  }
}

std::string CommandLine::nearest_option(const std::string& unknown) const {
  const std::string wanted = unknown.substr(0, unknown.find('='));
  std::string best;
  std::size_t best_distance = 1 + wanted.size() / 3;
  const auto consider = [&](const std::string& name) {
    const bool is_begun = wanted.size() > 3 && name.starts_with(wanted);
    const std::size_t distance = is_begun ? 1 : edit_distance(wanted, name);
    if (distance < best_distance) {
      best = name;
      best_distance = distance;
    }
  };
  for (const CLI::Option* option : std::as_const(*app_).get_options()) {
    for (const std::string& name : option->get_lnames()) consider("--" + name);
    for (const std::string& name : option->get_fnames()) consider("--" + name);
  }
  return best;
}

int CommandLine::usage_error(const std::string& text) const {
  std::cerr << program() << ": " << one_line(text) << "; see " << program() << " --help\n";
  return 2;
}

void CommandLine::parse(const std::vector<std::string>& arguments) {
  try {
    app_->parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::ParseError& error) {
    throw UsageError(error.what());
  }
}

int CommandLine::unknown_argument(const std::string& argument) const {
  const std::string nearest = nearest_option(argument);
  return usage_error(message(argument.starts_with("-") ? "unknown option " : "unexpected argument ",
                             argument, nearest.empty() ? "" : "; did you mean ", nearest,
                             nearest.empty() ? "" : "?"));
}

std::string CommandLine::first_unknown_option() const {
  for (const std::string& argument : arguments_) {
    if (argument == "--") break;
    const std::string name = argument.substr(0, argument.find('='));
    if (name == "--help") return "";
    if (name.starts_with("--") && app_->get_option_no_throw(name) == nullptr) return argument;
  }
  return "";
}

int CommandLine::run(int argc, char** argv, const std::function<int()>& verb) {
  arguments_.assign(argv + std::min(argc, 1), argv + argc);
  app_->allow_extras();
  app_->get_formatter()->column_width(34);
  // Whatever else is wrong may be so because an option's name is.
  if (const std::string unknown = first_unknown_option(); !unknown.empty()) {
    return unknown_argument(unknown);
  }
  const auto refuse = [this](const std::string& text) {
    for (const std::string& extra : app_->remaining()) {
      if (extra.starts_with("-") && extra != "--") return unknown_argument(extra);
    }
    return usage_error(text);
  };
  try {
    app_->parse(argc, argv);
    for (const std::string& extra : app_->remaining()) {
      if (extra != "--") return unknown_argument(extra);
    }
  } catch (const CLI::Success& help) {
    const int code = app_->exit(help);
    if (std::cout.flush()) return code;
    std::cerr << program() << ": cannot write to stdout; is the disk full?\n";
    return 1;
  } catch (const CLI::ArgumentMismatch& error) {
    const std::string text = error.what(), name = text.substr(0, text.find(':'));
    const CLI::Option* option = app_->get_option_no_throw(name);
    const std::size_t count = option == nullptr ? 0 : option->count();
    return refuse(count > 1 ? message(name, " is given ", count, " times; give it once")
                            : name + " needs a value");
  } catch (const CLI::ParseError& error) {
    return refuse(error.what());
  } catch (const UsageError& error) {
    return refuse(error.what());
  }
  try {
    const StopSignals signals(program());
    return verb();
  } catch (const std::exception& error) {
    std::cerr << program() << ": " << one_line(error_text(error)) << '\n';
  }
  return 1;
}

}  // namespace msd
