// SPDX-License-Identifier: MIT
#include "apps/common/app.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <iostream>
#include <new>
#include <vector>

#include "kernels/error.h"

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

int usage_error(const CLI::App& app, const std::string& text) {
  std::cerr << app.get_name() << ": " << one_line(text) << "; see " << app.get_name()
            << " --help\n";
  return 2;
}

}  // namespace

std::string nearest_option(const CLI::App& app, const std::string& unknown) {
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
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) consider("--" + name);
    for (const std::string& name : option->get_fnames()) consider("--" + name);
  }
  return best;
}

int run_app(CLI::App& app, int argc, char** argv, const std::function<int()>& run) {
  app.allow_extras();
  app.get_formatter()->column_width(34);
  try {
    app.parse(argc, argv);
    const std::vector<std::string> extras = app.remaining();
    if (!extras.empty()) {
      const std::string nearest = nearest_option(app, extras[0]);
      const bool is_option = extras[0].starts_with("-");
      return usage_error(app, message(is_option ? "unknown option " : "unexpected argument ",
                                      extras[0], nearest.empty() ? "" : "; did you mean ", nearest,
                                      nearest.empty() ? "" : "?"));
    }
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    return usage_error(app, error.what());
  }
  try {
    return run();
  } catch (const std::bad_alloc&) {
    std::cerr << app.get_name() << ": out of memory; use a smaller batch\n";
  } catch (const std::exception& error) {
    std::cerr << app.get_name() << ": " << one_line(error.what()) << '\n';
  }
  return 1;
}

}  // namespace msd
