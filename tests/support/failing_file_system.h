// SPDX-License-Identifier: MIT
#pragma once

#include <cerrno>
#include <string>

#include "engine/files/file_system.h"

namespace msd::test {

/// Fails the n-th call and no other.
class FailingFileSystem : public FileSystem {
 public:
  /// From 1; 0: none.
  explicit FailingFileSystem(long failing_call = 0) : failing_call_(failing_call) {}

  long calls() const { return calls_; }
  /// The name of the call that failed; empty where none did.
  const std::string& failed() const { return failed_; }

  int open(const char* path, int flags, mode_t mode) override {
    return fails("open", EACCES) ? -1 : FileSystem::open(path, flags, mode);
  }
  ssize_t read(int fd, void* data, std::size_t bytes) override {
    return fails("read", EIO) ? -1 : FileSystem::read(fd, data, bytes);
  }
  ssize_t write(int fd, const void* data, std::size_t bytes) override {
    if (!fails("write", ENOSPC)) return FileSystem::write(fd, data, bytes);
    FileSystem::write(fd, data, bytes / 2);  // a full disk takes what it can
    errno = ENOSPC;
    return -1;
  }
  void* map(int fd, std::size_t bytes) override {
    return fails("map", ENOMEM) ? nullptr : FileSystem::map(fd, bytes);
  }
  int fsync(int fd) override { return fails("fsync", EIO) ? -1 : FileSystem::fsync(fd); }
  int close(int fd) override {
    const int result = FileSystem::close(fd);  // the descriptor is gone either way
    return fails("close", EDQUOT) ? -1 : result;
  }
  int lock(int fd) override { return fails("lock", ENOLCK) ? -1 : FileSystem::lock(fd); }
  int rename(const char* from, const char* to) override {
    return fails("rename", EROFS) ? -1 : FileSystem::rename(from, to);
  }
  int link(const char* from, const char* to) override {
    return fails("link", EPERM) ? -1 : FileSystem::link(from, to);
  }
  int unlink(const char* path) override {
    return fails("unlink", EROFS) ? -1 : FileSystem::unlink(path);
  }
  int mkdir(const char* path, mode_t mode) override {
    return fails("mkdir", ENOSPC) ? -1 : FileSystem::mkdir(path, mode);
  }
  int statvfs(const char* path, struct ::statvfs* result) override {
    return fails("statvfs", EIO) ? -1 : FileSystem::statvfs(path, result);
  }

 private:
  bool fails(const char* call, int error) {
    if (++calls_ != failing_call_) return false;
    failed_ = call;
    errno = error;
    return true;
  }

  long failing_call_, calls_ = 0;
  std::string failed_;
};

}  // namespace msd::test
