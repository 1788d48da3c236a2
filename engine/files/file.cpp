// SPDX-License-Identifier: MIT
#include "engine/files/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <limits>
#include <system_error>
#include <utility>

#include "engine/files/file_system.h"
#include "engine/files/write_target.h"
#include "kernels/check.h"

namespace msd {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTemporarySuffix = ".msd-tmp";

// The temporary file in the making, for a signal's handler.
char unfinished_name[PATH_MAX];
std::atomic<bool> is_unfinished{false};

[[noreturn]] void throw_io(const char* what, const fs::path& path) {
  const char* remark = errno == EPIPE   ? " (its reader has gone)"
                       : errno == EFBIG ? " (for the limit that ulimit -f shows)"
                                        : "";
  throw IoError(message("cannot ", what, " ", path.string(), ": ", std::strerror(errno), remark));
}

/// A write to a pipe that nobody reads fails while this lives, and ends nothing.
class PipeSignalBlock {
 public:
  PipeSignalBlock() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~PipeSignalBlock() {
    if (sigismember(&before_, SIGPIPE) != 0) return;
    const timespec at_once = {};
    const int error = errno;
    sigtimedwait(&pipe_, nullptr, &at_once);  // of this thread alone: a failed write's
    errno = error;
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  PipeSignalBlock(const PipeSignalBlock&) = delete;
  PipeSignalBlock& operator=(const PipeSignalBlock&) = delete;

 private:
  sigset_t pipe_{}, before_{};
};

class OpenFile {
 public:
  OpenFile(const fs::path& path, int flags, const char* what) : path_(path) {
    fd_ = file_system().open(path.c_str(), flags, 0666);
    if (fd_ < 0) throw_io(what, path);
  }
  /// What is open as `descriptor` already.
  OpenFile(const fs::path& path, int descriptor)
      : path_(path), fd_(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0)) {
    if (fd_ < 0) throw_io("open", path);
  }
  ~OpenFile() {
    if (fd_ >= 0) file_system().close(fd_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  int fd() const { return fd_; }

  /// Returns 0 at the end of the file.
  std::size_t read(std::span<std::byte> into) {
    for (;;) {
      const ssize_t got = file_system().read(fd_, into.data(), into.size());
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno != EINTR) throw_io("read", path_);
    }
  }
  void write(std::span<const std::byte> bytes) {
    const PipeSignalBlock block;
    while (!bytes.empty()) {
      const ssize_t written = file_system().write(fd_, bytes.data(), bytes.size());
      if (written < 0 && errno != EINTR) throw_io("write", path_);
      bytes = bytes.subspan(written < 0 ? 0 : static_cast<std::size_t>(written));
    }
  }
  void sync() {
    if (file_system().fsync(fd_) != 0) throw_io("sync", path_);
  }
  /// Some file systems tell of a failed write only here.
  void close() {
    if (file_system().close(std::exchange(fd_, -1)) != 0) throw_io("close", path_);
  }

 private:
  const fs::path& path_;
  int fd_;
};

// Many parts are small (a channel's statistics): they are gathered into calls of at least 256 KiB.
void write_parts(OpenFile& file, const std::vector<std::span<const std::byte>>& parts) {
  std::vector<std::byte> gathered;
  for (const std::span<const std::byte> part : parts) {
    gathered.insert(gathered.end(), part.begin(), part.end());
    if (gathered.size() < (std::size_t{256} << 10)) continue;
    file.write(gathered);
    gathered.clear();
  }
  file.write(gathered);
}

void sync_folder_of(const fs::path& path) {
  const fs::path parent = path.has_parent_path() ? path.parent_path() : fs::path(".");
  OpenFile(parent, O_RDONLY | O_DIRECTORY, "open").sync();
}

void require_space(const fs::path& path, const std::vector<std::span<const std::byte>>& parts) {
  std::int64_t bytes = 0;
  for (const std::span<const std::byte> part : parts) {
    bytes += static_cast<std::int64_t>(part.size());
  }
  if (bytes > most_file_bytes()) {
    throw IoError(message("cannot write ", path.string(), ": needs ", bytes_text(bytes),
                          ", a file may have ", bytes_text(most_file_bytes()),
                          " here; raise the limit that ulimit -f shows"));
  }
  const std::optional<std::int64_t> free = free_bytes(path);
  if (!free.has_value() || bytes <= *free) return;
  throw IoError(message("cannot write ", path.string(), ": needs ", bytes_text(bytes), ", ",
                        bytes_text(*free), " free on its file system; free some space or use ",
                        "another folder"));
}

void write_new_file(const fs::path& path, const std::vector<std::span<const std::byte>>& parts) {
  OpenFile file(path, O_WRONLY | O_CREAT | O_EXCL, "create");
  write_parts(file, parts);
  file.sync();
  file.close();
}

// A name for a file in the making, in the folder of `path`.
fs::path temporary_name(const fs::path& path) {
  const std::string suffix = std::string(kTemporarySuffix) + std::to_string(::getpid());
  std::string name = path.filename().string();
  name.resize(std::min(name.size(), NAME_MAX - suffix.size()));
  return path.parent_path() / (name + suffix);
}

/// Lets remove_unfinished_file() know the temporary file as long as it lives.
class Unfinished {
 public:
  explicit Unfinished(const fs::path& temporary) {
    const std::string& name = temporary.native();
    if (name.size() >= sizeof unfinished_name) return;
    std::memcpy(unfinished_name, name.c_str(), name.size() + 1);
    is_unfinished = true;
  }
  ~Unfinished() { is_unfinished = false; }
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;
};

// As the file that is replaced had them; a file system without them needs none.
void keep_owner_and_mode(const fs::path& path, const fs::path& temporary) {
  struct stat before {};
  if (::stat(path.c_str(), &before) != 0) return;
  static_cast<void>(!::chown(temporary.c_str(), before.st_uid, before.st_gid));
  static_cast<void>(!::chmod(temporary.c_str(), before.st_mode & 0777));
}

void write_in_place(const fs::path& path, std::span<const std::byte> bytes) {
  OpenFile file(path, O_WRONLY | O_TRUNC, "open");
  file.write(bytes);
  file.sync();
  file.close();
}

// A file that a container mounts by itself has a name that cannot be given to another.
void take_place(const fs::path& temporary, const fs::path& path) {
  if (file_system().rename(temporary.c_str(), path.c_str()) == 0) return;
  if (errno != EBUSY) throw_io("rename to", path);
  write_in_place(path, read_file(temporary));
  file_system().unlink(temporary.c_str());
}

// Returns false where the old file is at both names.
bool move_to_previous(const fs::path& path, const fs::path& previous) {
  if (file_system().rename(path.c_str(), previous.c_str()) == 0) return true;
  if (errno != EXDEV && errno != EBUSY) throw_io("rename to", previous);
  link_file_atomically(path, previous);  // `path` was a link to elsewhere
  return false;
}

// make(temporary name) makes the file that then replaces `path`.
template <typename Make>
void replace_file(const fs::path& path, const fs::path& previous, Make make) {
  const fs::path temporary = temporary_name(path);
  // What a failed removal left may be a second name of a finished file: never write into it.
  file_system().unlink(temporary.c_str());
  bool moved = false;
  try {
    const Unfinished unfinished(temporary);
    make(temporary);
    std::error_code failed;
    if (!previous.empty() && fs::exists(path, failed)) moved = move_to_previous(path, previous);
    take_place(temporary, path);
  } catch (...) {
    file_system().unlink(temporary.c_str());
    if (moved) file_system().rename(previous.c_str(), path.c_str());
    throw;
  }
  sync_folder_of(path);
}

void write_stream(const WriteTarget& target, const std::vector<std::span<const std::byte>>& parts) {
  OpenFile file = target.descriptor >= 0 ? OpenFile(target.path, target.descriptor)
                                         : OpenFile(target.path, O_WRONLY | O_NOCTTY, "open");
  write_parts(file, parts);
  file.close();
}

// `expected_bytes` is a guess.
std::vector<std::byte> read_rest(OpenFile& file, std::size_t expected_bytes) {
  std::vector<std::byte> bytes(expected_bytes);
  std::size_t used = 0;
  for (;;) {
    if (used == bytes.size()) bytes.resize(used + (std::size_t{64} << 10));
    const std::size_t got = file.read(std::span(bytes).subspan(used));
    if (got == 0) break;
    used += got;
  }
  bytes.resize(used);
  return bytes;
}

}  // namespace

std::vector<std::byte> read_file(const fs::path& path) {
  OpenFile file(path, O_RDONLY, "open");
  std::error_code error;
  const std::uintmax_t size = fs::file_size(path, error);
  return read_rest(file, error ? 0 : static_cast<std::size_t>(size));
}

FileBytes::FileBytes(const fs::path& path) {
  OpenFile file(path, O_RDONLY, "open");
  struct stat status {};
  if (::fstat(file.fd(), &status) != 0) throw_io("read", path);
  if (S_ISREG(status.st_mode)) {
    size_ = static_cast<std::size_t>(status.st_size);
    if (size_ == 0) return;
    data_ = static_cast<std::byte*>(file_system().map(file.fd(), size_));
    if (data_ == nullptr) throw_io("map", path);
    return;
  }
  copy_ = read_rest(file, 0);  // a pipe cannot be opened a second time
  data_ = copy_.data();
  size_ = copy_.size();
}

FileBytes::FileBytes(std::vector<std::byte> bytes)
    : copy_(std::move(bytes)), data_(copy_.data()), size_(copy_.size()) {}

FileBytes::~FileBytes() {
  if (copy_.empty() && size_ > 0) ::munmap(data_, size_);
}

std::string read_text_file(const fs::path& path) {
  const std::vector<std::byte> bytes = read_file(path);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void write_file_atomically(const fs::path& path,
                           const std::vector<std::span<const std::byte>>& parts,
                           const fs::path& previous) {
  const WriteTarget target = write_target(path);
  if (target.is_stream) return write_stream(target, parts);
  require_space(target.path, parts);
  replace_file(target.path, previous, [&](const fs::path& temporary) {
    write_new_file(temporary, parts);
    keep_owner_and_mode(target.path, temporary);
  });
}

void link_file_atomically(const fs::path& from, const fs::path& path, const fs::path& previous) {
  const WriteTarget target = write_target(path);
  if (target.is_stream) return write_stream(target, {read_file(from)});
  replace_file(target.path, previous, [&](const fs::path& temporary) {
    if (file_system().link(from.c_str(), temporary.c_str()) == 0) return;
    const std::vector<std::byte> bytes = read_file(from);
    require_space(target.path, {bytes});
    write_new_file(temporary, {bytes});
  });
}

void write_file_atomically(const fs::path& path, std::string_view text) {
  write_file_atomically(path, {std::as_bytes(std::span(text))});
}

std::optional<std::int64_t> free_bytes(const fs::path& path) {
  std::error_code error;
  fs::path place = fs::absolute(path, error);
  while (!fs::exists(place, error) && place != place.parent_path()) place = place.parent_path();
  struct ::statvfs found = {};
  if (file_system().statvfs(place.c_str(), &found) != 0) return std::nullopt;
  if (found.f_blocks == 0) return std::nullopt;  // of no use: some network and FUSE file systems
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  const double bytes = static_cast<double>(found.f_bavail) * static_cast<double>(found.f_frsize);
  return bytes < static_cast<double>(kMost) ? static_cast<std::int64_t>(bytes) : kMost;
}

std::int64_t most_file_bytes() {
  struct rlimit limit {};
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  if (::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur >= static_cast<rlim_t>(kMost)) {
    return kMost;
  }
  return static_cast<std::int64_t>(limit.rlim_cur);
}

void require_writable(const fs::path& path) {
  const WriteTarget target = write_target(path);
  if (target.is_stream) return;
  const fs::path parent = target.path.has_parent_path() ? target.path.parent_path() : fs::path(".");
  std::error_code failed;
  if (!fs::is_directory(parent, failed)) {
    throw IoError(message("cannot write ", path.string(), ": there is no folder ", parent.string(),
                          "; make it first"));
  }
  if (::faccessat(AT_FDCWD, parent.c_str(), W_OK | X_OK, AT_EACCESS) != 0) {
    throw_io("write in the folder", parent);
  }
}

void remove_unfinished_file() noexcept {
  if (is_unfinished) ::unlink(unfinished_name);
}

std::string bytes_text(std::int64_t bytes) {
  const char* unit = bytes < 1'000'000 ? " KB" : bytes < 1'000'000'000 ? " MB" : " GB";
  const double scale = bytes < 1'000'000 ? 1e3 : bytes < 1'000'000'000 ? 1e6 : 1e9;
  char text[32];
  std::snprintf(text, sizeof text, "%.1f%s", static_cast<double>(bytes) / scale, unit);
  return text;
}

void remove_temporary_files(const fs::path& folder) {
  std::vector<fs::path> left;
  try {
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
      if (entry.path().filename().string().find(kTemporarySuffix) != std::string::npos) {
        left.push_back(entry.path());
      }
    }
  } catch (const fs::filesystem_error& error) {
    throw IoError(message("cannot list ", folder.string(), ": ", error.code().message()));
  }
  for (const fs::path& path : left) remove_file(path);
}

void append_line(const fs::path& path, std::string_view line) {
  const std::string text = std::string(line) + "\n";
  OpenFile file(path, O_WRONLY | O_CREAT | O_APPEND, "open");
  file.write(std::as_bytes(std::span(text)));
  file.close();
}

void make_folder(const fs::path& path) {
  std::error_code error;
  if (path.empty() || fs::is_directory(path, error)) return;
  if (path.has_parent_path() && path.parent_path() != path) make_folder(path.parent_path());
  if (path.has_filename() && file_system().mkdir(path.c_str(), 0777) != 0 &&
      !(errno == EEXIST && fs::is_directory(path, error))) {
    throw_io("make the folder", path);
  }
}

void rename_file(const fs::path& from, const fs::path& to) {
  if (file_system().rename(from.c_str(), to.c_str()) != 0) throw_io("rename to", to);
}

void remove_file(const fs::path& path) {
  if (file_system().unlink(path.c_str()) != 0 && errno != ENOENT) throw_io("remove", path);
}

FileLock::FileLock(const fs::path& path)
    : fd_(file_system().open(path.c_str(), O_RDWR | O_CREAT, 0644)) {
  if (fd_ < 0) throw_io("open", path);
  if (file_system().lock(fd_) == 0) return;
  const bool taken = errno == EWOULDBLOCK;
  const std::string reason = std::strerror(errno);
  file_system().close(fd_);
  throw IoError(taken ? message(path.string(), " is locked: another process is writing there")
                      : message("cannot lock ", path.string(), ": ", reason));
}

FileLock::~FileLock() { file_system().close(fd_); }

}  // namespace msd
