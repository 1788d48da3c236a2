// SPDX-License-Identifier: MIT
#include "engine/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "kernels/error.h"

namespace msd {
namespace {

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() { close(); }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }
  bool close() {
    const int fd = std::exchange(fd_, -1);
    return fd < 0 || ::close(fd) == 0;
  }

 private:
  int fd_;
};

[[noreturn]] void throw_io(const char* what, const std::filesystem::path& path) {
  throw IoError(message(what, " ", path.string(), ": ", std::strerror(errno)));
}

void write_all(int fd, std::span<const std::byte> bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      throw_io("cannot write", path);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void sync_directory(const std::filesystem::path& directory) {
  FileDescriptor fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0 || ::fsync(fd.get()) != 0) throw_io("cannot sync", directory);
}

}  // namespace

std::vector<std::byte> read_file(const std::filesystem::path& path) {
  FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) throw_io("cannot open", path);
  std::vector<std::byte> bytes;
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  bytes.resize(error ? 0 : static_cast<std::size_t>(size));
  std::size_t used = 0;
  for (;;) {
    if (used == bytes.size()) bytes.resize(used + (std::size_t{64} << 10));
    const ssize_t got = ::read(fd.get(), bytes.data() + used, bytes.size() - used);
    if (got < 0) {
      if (errno == EINTR) continue;
      throw_io("cannot read", path);
    }
    if (got == 0) break;
    used += static_cast<std::size_t>(got);
  }
  bytes.resize(used);
  return bytes;
}

std::string read_text_file(const std::filesystem::path& path) {
  const std::vector<std::byte> bytes = read_file(path);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void write_file_atomically(const std::filesystem::path& path,
                           const std::vector<std::span<const std::byte>>& parts) {
  std::filesystem::path temporary = path;
  temporary += ".tmp" + std::to_string(::getpid());
  try {
    FileDescriptor fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (fd.get() < 0) throw_io("cannot create", temporary);
    for (const std::span<const std::byte> part : parts) write_all(fd.get(), part, temporary);
    if (::fsync(fd.get()) != 0) throw_io("cannot sync", temporary);
    if (!fd.close()) throw_io("cannot close", temporary);
    if (::rename(temporary.c_str(), path.c_str()) != 0) throw_io("cannot rename to", path);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  const std::filesystem::path parent = path.parent_path();
  sync_directory(parent.empty() ? std::filesystem::path(".") : parent);
}

void write_file_atomically(const std::filesystem::path& path, std::string_view text) {
  write_file_atomically(path, {std::as_bytes(std::span(text))});
}

}  // namespace msd
