// SPDX-License-Identifier: MIT
#include "apps/common/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <iostream>
#include <utility>

#include "apps/common/error_text.h"
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

}  // namespace

Option Option::range(std::int64_t least, std::int64_t most) const {
  option_->check(CLI::Range(least, most));
  return *this;
}

Option Option::share() const {
  option_->check(CLI::Range(0.0, 1.0));
  return *this;
}

Option Option::positive() const {
  option_->check(CLI::PositiveNumber);
  return *this;
}

Option Option::non_negative() const {
  option_->check(CLI::NonNegativeNumber);
  return *this;
}

Option Option::one_of(std::vector<std::string> choices) const {
  option_->check(CLI::IsMember(std::move(choices)));
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
Option CommandLine::add(const std::string& names, T& target, const std::string& text) {
  return Option(app_->add_option(names, target, text));
}

Option CommandLine::option(const std::string& names, std::string& target, const std::string& text) {
  return add(names, target, text);
}

Option CommandLine::option(const std::string& names, int& target, const std::string& text) {
  return add(names, target, text);
}

Option CommandLine::option(const std::string& names, std::int64_t& target,
                           const std::string& text) {
  return add(names, target, text);
}

Option CommandLine::option(const std::string& names, std::uint64_t& target,
                           const std::string& text) {
  return add(names, target, text);
}

Option CommandLine::option(const std::string& names, double& target, const std::string& text) {
  return add(names, target, text);
}

Option CommandLine::option(const std::string& names, std::vector<std::string>& target,
                           const std::string& text) {
  return add(names, target, text);
}

Option CommandLine::flag(const std::string& names, bool& target, const std::string& text) {
  return Option(app_->add_flag(names, target, text));
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
    const std::size_t distance = edit_distance(wanted, name);
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

int CommandLine::run(int argc, char** argv, const std::function<int()>& verb) {
  arguments_.assign(argv + std::min(argc, 1), argv + argc);
  app_->allow_extras();
  app_->get_formatter()->column_width(34);
  try {
    app_->parse(argc, argv);
    const std::vector<std::string> extras = app_->remaining();
    if (!extras.empty()) {
      const std::string nearest = nearest_option(extras[0]);
      const bool is_option = extras[0].starts_with("-");
      return usage_error(message(is_option ? "unknown option " : "unexpected argument ", extras[0],
                                 nearest.empty() ? "" : "; did you mean ", nearest,
                                 nearest.empty() ? "" : "?"));
    }
  } catch (const CLI::Success& help) {
    return app_->exit(help);
  } catch (const CLI::ParseError& error) {
    return usage_error(error.what());
  } catch (const UsageError& error) {
    return usage_error(error.what());
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
