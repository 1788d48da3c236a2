// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <cstddef>

struct statvfs;  // <sys/statvfs.h>

namespace msd {

/// The system calls that engine/files/file.h works with, in a form that a test can make fail (the
/// idea is leveldb's Env). Each member does what the call of its name does: a negative result with
/// errno set for a failure, unless it says otherwise.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual int open(const char* path, int flags, mode_t mode);
  virtual ssize_t read(int fd, void* data, std::size_t bytes);
  virtual ssize_t write(int fd, const void* data, std::size_t bytes);
  /// mmap of the first `bytes` for reading, with writes that stay private; nullptr for a failure.
  virtual void* map(int fd, std::size_t bytes);
  virtual int fsync(int fd);
  virtual int close(int fd);
  /// flock(fd, LOCK_EX | LOCK_NB).
  virtual int lock(int fd);
  virtual int rename(const char* from, const char* to);
  virtual int link(const char* from, const char* to);
  virtual int unlink(const char* path);
  virtual int mkdir(const char* path, mode_t mode);
  virtual int statvfs(const char* path, struct ::statvfs* result);
};

/// The one in use: the operating system's, unless replaced.
FileSystem& file_system();

/// Puts another file system in use for as long as this object lives. For tests; not thread-safe.
class FileSystemOverride {
 public:
  explicit FileSystemOverride(FileSystem& other);
  ~FileSystemOverride();
  FileSystemOverride(const FileSystemOverride&) = delete;
  FileSystemOverride& operator=(const FileSystemOverride&) = delete;

 private:
  FileSystem* before_;
};

}  // namespace msd
