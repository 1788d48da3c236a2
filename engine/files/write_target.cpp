// SPDX-License-Identifier: MIT
#include "engine/files/write_target.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <string>
#include <system_error>

#include "kernels/check.h"

namespace msd {
namespace {

namespace fs = std::filesystem;

constexpr int kMostLinks = 40;  // Linux's own limit

[[noreturn]] void refuse_target(const fs::path& path, const std::string& reason) {
  throw IoError(message("cannot write ", path.string(), ": ", reason));
}

// 3 of /proc/self/fd/3 and of /dev/fd/3. Opened anew, a redirected stdout would be written from its
// start, and a socket could not be opened at all.
int own_descriptor(const fs::path& link) {
  std::error_code failed;
  const fs::path folder = fs::canonical(link.parent_path(), failed);
  if (failed || folder != "/proc/" + std::to_string(::getpid()) + "/fd") return -1;
  const std::string name = link.filename().string();
  int descriptor = -1;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), descriptor);
  return error == std::errc() && end == name.data() + name.size() ? descriptor : -1;
}

}  // namespace

WriteTarget write_target(const fs::path& path) {
  struct stat found {};
  const bool exists = ::stat(path.c_str(), &found) == 0;
  if (!exists && errno != ENOENT) refuse_target(path, std::strerror(errno));
  if (exists && S_ISDIR(found.st_mode)) refuse_target(path, "it is a folder; name a file");
  if (!path.has_filename()) refuse_target(path, "that is no file's name");
  WriteTarget target;
  target.path = path;
  for (int links = 0;; ++links) {
    struct stat status {};
    if (::lstat(target.path.c_str(), &status) != 0 || !S_ISLNK(status.st_mode)) break;
    if (const int descriptor = own_descriptor(target.path); descriptor >= 0) {
      return {true, path, descriptor};
    }
    std::error_code failed;
    const fs::path to = fs::read_symlink(target.path, failed);
    if (failed) refuse_target(path, failed.message());
    if (links == kMostLinks) refuse_target(path, std::strerror(ELOOP));
    target.path = target.path.parent_path() / to;
  }
  if (exists && !S_ISREG(found.st_mode)) return {true, path, -1};
  if (exists && ::faccessat(AT_FDCWD, target.path.c_str(), W_OK, AT_EACCESS) != 0) {
    refuse_target(path, std::strerror(errno));
  }
  return target;
}

}  // namespace msd
