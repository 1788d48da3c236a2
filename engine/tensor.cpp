// SPDX-License-Identifier: MIT
#include "engine/tensor.h"

#include <cstring>
#include <utility>

namespace msd {

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(allocator_, other.allocator_);
  std::swap(owner_, other.owner_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Buffer::~Buffer() {
  if (allocator_ != nullptr && owner_ == nullptr) allocator_->deallocate(data_, bytes_);
}

Tensor Tensor::empty(Allocator& allocator, std::vector<std::int64_t> shape, DType dtype) {
  Tensor t;
  t.shape_ = std::move(shape);
  t.strides_.resize(t.shape_.size());
  std::int64_t elems = 1;
  for (std::size_t i = t.shape_.size(); i-- > 0;) {
    MSD_CHECK(t.shape_[i] >= 0, "a tensor with dimension ", t.shape_[i]);
    t.strides_[i] = elems;
    elems *= t.shape_[i];
  }
  t.dtype_ = dtype;
  t.buffer_ = std::make_shared<Buffer>(allocator, elems * msd::size_bytes(dtype));
  return t;
}

Tensor Tensor::zeros(Allocator& allocator, std::vector<std::int64_t> shape, DType dtype) {
  Tensor t = empty(allocator, std::move(shape), dtype);
  allocator.set_bytes(t.buffer_->data(), 0, t.buffer_->size_bytes());
  return t;
}

Tensor Tensor::over(std::shared_ptr<Buffer> buffer, std::int64_t offset,
                    std::vector<std::int64_t> shape, std::vector<std::int64_t> strides,
                    DType dtype) {
  MSD_CHECK(shape.size() == strides.size(), shape.size(), " dimensions but ", strides.size(),
            " strides");
  const std::int64_t available = buffer->size_bytes() / msd::size_bytes(dtype);
  bool fits = offset >= 0 && offset <= available, empty = false;
  std::int64_t last = offset;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    std::int64_t reach = 0;
    fits = fits && shape[i] >= 0 && strides[i] >= 0;
    empty = empty || shape[i] == 0;
    if (shape[i] <= 1) continue;
    fits = fits && !__builtin_mul_overflow(shape[i] - 1, strides[i], &reach) &&
           !__builtin_add_overflow(last, reach, &last);
  }
  MSD_CHECK(fits && (empty || last < available), "a view reaches element ", last, " of ",
            available);
  Tensor t;
  t.buffer_ = std::move(buffer);
  t.offset_ = offset;
  t.shape_ = std::move(shape);
  t.strides_ = std::move(strides);
  t.dtype_ = dtype;
  return t;
}

Tensor Tensor::activation(Allocator& allocator, std::int64_t n, std::int64_t h, std::int64_t w,
                          std::int64_t c, DType dtype) {
  return empty(allocator, {n, h, w, row_pitch(c, dtype)}, dtype).slice(3, 0, c);
}

std::int64_t Tensor::elems() const {
  std::int64_t elems = 1;
  for (const std::int64_t d : shape_) elems *= d;
  return elems;
}

bool Tensor::is_contiguous() const {
  std::int64_t expected = 1;
  for (std::size_t i = shape_.size(); i-- > 0;) {
    if (shape_[i] != 1 && strides_[i] != expected) return elems() == 0;
    expected *= shape_[i];
  }
  return true;
}

Tensor Tensor::contiguous() const {
  if (is_contiguous()) return *this;
  MSD_CHECK(on_host(), "a packed copy of a tensor on a device");
  Tensor packed = empty(host_allocator(), shape_, dtype_);
  const auto bytes = static_cast<std::size_t>(msd::size_bytes(dtype_));
  const auto* from = static_cast<const std::byte*>(data());
  auto* to = static_cast<std::byte*>(packed.data());
  std::vector<std::int64_t> index(shape_.size(), 0);
  for (std::int64_t left = elems(), at = 0; left > 0; --left, to += bytes) {
    std::memcpy(to, from + at * msd::size_bytes(dtype_), bytes);
    for (std::size_t d = shape_.size(); d-- > 0;) {
      at += strides_[d];
      if (++index[d] < shape_[d]) break;
      at -= strides_[d] * shape_[d];
      index[d] = 0;
    }
  }
  return packed;
}

Tensor Tensor::slice(std::int64_t axis, std::int64_t first, std::int64_t count) const {
  MSD_CHECK(axis >= 0 && axis < dim(), "slice along axis ", axis, " of ", dim());
  const auto a = static_cast<std::size_t>(axis);
  MSD_CHECK(first >= 0 && count >= 0 && first + count <= shape_[a], "slice [", first, ", ",
            first + count, ") of ", shape_[a]);
  Tensor t = *this;
  t.offset_ += first * strides_[a];
  t.shape_[a] = count;
  return t;
}

void* Tensor::data() const {
  return buffer_ == nullptr ? nullptr : buffer_->data() + offset_ * msd::size_bytes(dtype_);
}

Tensor Tensor::to_host() const {
  if (on_host()) return *this;
  Tensor t = *this;
  t.buffer_ = std::make_shared<Buffer>(host_allocator(), buffer_->size_bytes());
  buffer_->allocator()->copy(t.buffer_->data(), buffer_->data(), buffer_->size_bytes());
  return t;
}

void Tensor::copy_from(const Tensor& host) const {
  MSD_CHECK(
      host.on_host() && host.shape_ == shape_ && host.dtype_ == dtype_ && host.is_contiguous(),
      "a tensor copied from one of another kind");
  write(host.data(), elems() * msd::size_bytes(dtype_));
}

void Tensor::write(const void* host, std::int64_t bytes) const {
  MSD_CHECK(is_contiguous() && bytes <= elems() * msd::size_bytes(dtype_), bytes,
            " bytes into a tensor of ", elems(), " elements");
  if (bytes > 0) buffer_->allocator()->upload(data(), host, bytes);
}

void Tensor::read(void* host, std::int64_t bytes) const {
  MSD_CHECK(is_contiguous() && bytes <= elems() * msd::size_bytes(dtype_), bytes,
            " bytes of a tensor of ", elems(), " elements");
  if (bytes > 0) buffer_->allocator()->copy(host, data(), bytes);
}

View Tensor::view() const {
  MSD_CHECK(dim() == 4 && strides_[3] == 1, "a view over a tensor of ", dim(), " dimensions");
  const std::int64_t pitch = strides_[2];
  const bool rows = (shape_[1] <= 1 || strides_[1] == shape_[2] * pitch) &&
                    (shape_[0] <= 1 || strides_[0] == shape_[1] * shape_[2] * pitch);
  MSD_CHECK(rows, "a view over a tensor whose rows are not evenly spaced");
  return {data(), dtype_, shape_[0], shape_[1], shape_[2], shape_[3], pitch};
}

namespace {

// From the first element to one past the last.
std::int64_t span_bytes(const ConstView& view) {
  return view.elems() == 0 ? 0 : ((view.rows() - 1) * view.pitch + view.c) * size_bytes(view.dtype);
}

}  // namespace

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (const std::int64_t d : shape) text += (text.size() > 1 ? "," : "") + std::to_string(d);
  return text + "]";
}

Tensor host_copy(Allocator& allocator, const ConstView& view) {
  Tensor copy = Tensor::empty(host_allocator(), {view.n, view.h, view.w, view.pitch}, view.dtype);
  allocator.copy(copy.data(), view.data, span_bytes(view));
  return copy.slice(3, 0, view.c);
}

void write_view(Allocator& allocator, const View& to, const ConstView& host) {
  MSD_CHECK(to.n == host.n && to.h == host.h && to.w == host.w && to.c == host.c &&
                (host.dtype == DType::f32 || host.dtype == DType::f64),
            "write_view of ", host, " to ", ConstView(to));
  if (to.elems() == 0) return;
  if (to.dtype == host.dtype && to.pitch == host.pitch) {
    allocator.upload(to.data, host.data, span_bytes(to));
    return;
  }
  const Tensor rows = Tensor::zeros(host_allocator(), {to.rows(), to.pitch}, to.dtype);
  for (std::int64_t row = 0; row < to.rows(); ++row) {
    for (std::int64_t c = 0; c < to.c; ++c) {
      store_element(rows.data(), to.dtype, row * to.pitch + c,
                    load_element(host.data, host.dtype, row * host.pitch + c));
    }
  }
  allocator.upload(to.data, rows.data(), span_bytes(to));
}

}  // namespace msd
