// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/allocator.h"
#include "kernels/check.h"
#include "kernels/view.h"

namespace msd {

/// Bytes of one allocator, given back when the last owner lets go; or bytes of the host that belong
/// to something else, such as a mapped file. Move-only.
class Buffer {
 public:
  Buffer() = default;
  /// The allocator must outlive the buffer.
  Buffer(Allocator& allocator, std::int64_t bytes)
      : allocator_(&allocator), data_(allocator.allocate(bytes)), bytes_(bytes) {}
  /// `bytes` at `data`, which `owner` keeps alive.
  Buffer(std::shared_ptr<const void> owner, std::byte* data, std::int64_t bytes)
      : allocator_(&host_allocator()), owner_(std::move(owner)), data_(data), bytes_(bytes) {}
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();

  std::byte* data() const { return static_cast<std::byte*>(data_); }
  std::int64_t size_bytes() const { return bytes_; }
  Allocator* allocator() const { return allocator_; }

 private:
  Allocator* allocator_ = nullptr;
  std::shared_ptr<const void> owner_;  // of bytes that are not the allocator's
  void* data_ = nullptr;
  std::int64_t bytes_ = 0;
};

/// A strided array over a shared buffer. Copies share the memory; slices are tensors too.
class Tensor {
 public:
  Tensor() = default;
  /// Contiguous (row-major), contents arbitrary.
  static Tensor empty(Allocator& allocator, std::vector<std::int64_t> shape, DType dtype);
  static Tensor zeros(Allocator& allocator, std::vector<std::int64_t> shape, DType dtype);
  /// A view of `buffer`: the first element at `offset`; offset and strides (none negative) in
  /// elements. Throws ShapeError where an element would lie outside.
  static Tensor over(std::shared_ptr<Buffer> buffer, std::int64_t offset,
                     std::vector<std::int64_t> shape, std::vector<std::int64_t> strides,
                     DType dtype);
  /// NHWC activation whose rows are padded to row_pitch(c, dtype).
  static Tensor activation(Allocator& allocator, std::int64_t n, std::int64_t h, std::int64_t w,
                           std::int64_t c, DType dtype);

  const std::vector<std::int64_t>& shape() const { return shape_; }
  const std::vector<std::int64_t>& strides() const { return strides_; }  // in elements
  std::int64_t dim() const { return static_cast<std::int64_t>(shape_.size()); }
  std::int64_t elems() const;
  DType dtype() const { return dtype_; }
  bool is_contiguous() const;
  bool defined() const { return buffer_ != nullptr; }

  /// Whether host code may touch the elements.
  bool on_host() const { return buffer_ == nullptr || buffer_->allocator()->on_host(); }
  /// This tensor where it is contiguous; if not, a packed copy. On the host.
  Tensor contiguous() const;
  /// This tensor where it is on the host; if not, a copy of it there, of the same layout.
  Tensor to_host() const;
  /// All elements from host memory; both contiguous, of one shape and type.
  void copy_from(const Tensor& host) const;
  /// The first bytes of a contiguous tensor, to and from host memory.
  void write(const void* host, std::int64_t bytes) const;
  void read(void* host, std::int64_t bytes) const;

  /// Elements [first, first + count) of dimension `axis`; shares the memory.
  Tensor slice(std::int64_t axis, std::int64_t first, std::int64_t count) const;

  /// The memory as a plain span; the tensor must be contiguous and of type T.
  template <typename T>
  std::span<T> span() const {
    MSD_CHECK(kDTypeOf<T> == dtype_ && is_contiguous() && on_host(), "span over a ", name(dtype_),
              on_host() ? " tensor" : " tensor on a device");
    return {static_cast<T*>(data()), static_cast<std::size_t>(elems())};
  }
  void* data() const;

  /// The view ops take; the tensor must be 4-D NHWC with rows a constant pitch apart.
  View view() const;

 private:
  std::shared_ptr<Buffer> buffer_;
  std::int64_t offset_ = 0;  // elements
  std::vector<std::int64_t> shape_, strides_;
  DType dtype_ = DType::f32;
};

/// "[3,224,224]", for messages.
std::string shape_text(const std::vector<std::int64_t>& shape);

/// A copy of an activation in the host's memory, with the view's pitch; `allocator` is the one
/// whose memory the view lies in.
Tensor host_copy(Allocator& allocator, const ConstView& view);
/// Overwrites an activation of f32, f64 or bf16 in `allocator`'s memory with one of f32 or f64 in
/// the host's, of one shape. The elements between the activation's rows may be overwritten.
void write_view(Allocator& allocator, const View& to, const ConstView& host);

/// As files hold them.
struct NamedTensor {
  std::string name;
  Tensor tensor;  // contiguous, on the host
};

}  // namespace msd
