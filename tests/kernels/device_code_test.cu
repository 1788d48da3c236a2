// SPDX-License-Identifier: MIT
// The primitives of kernels/cuda/device/device_code.cuh against what they are documented to do, on
// the emulated device and, as that cannot prove its own idea of the tensor cores' layouts, on a
// GPU. Never ran on a GPU yet.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/cuda/device/context.h"
#include "kernels/cuda/device/device_code.cuh"
#include "tests/kernels/backend.h"
#include "tests/kernels/op_harness.h"

namespace msd::test {
namespace {

using cuda::bfloat16;

/// An array that host and device see.
template <typename T>
class Shared {
 public:
  explicit Shared(std::size_t count) : values_(count) {}
  explicit Shared(const std::vector<T>& values) : values_(values.begin(), values.end()) {}
  T* data() { return values_.data(); }
  T& operator[](std::size_t i) { return values_[i]; }

 private:
  std::vector<T, OperandAllocator<T>> values_;
};

class DeviceCode : public testing::Test {
 protected:
  void SetUp() override {
    const std::string reason = backend::why_not("fill");  // any op that has a body
    if (reason.empty()) {
      context_ = backend::context(1);
      return;
    }
    if (backend::must_run()) FAIL() << reason << ", and MSD_REQUIRE_GPU=1";
    GTEST_SKIP() << reason;
  }
  template <typename... Parameters, typename... Arguments>
  void run(unsigned blocks, unsigned threads, void (*kernel)(Parameters...),
           Arguments... arguments) {
    cuda::launch(context_.cuda->stream, blocks, threads, 0, kernel, arguments...);
    MSD_CUDA_CHECK(cudaStreamSynchronize(context_.cuda->stream));
  }

 private:
  ExecutionContext context_;
};

__global__ void lanes_kernel(int* out, double* wide) {
  const int lane = cuda::lane_index();
  int* mine = out + lane;
  mine[0 * 32] = cuda::shuffle(lane * 10, (lane + 5) % 32);
  mine[1 * 32] = cuda::shuffle_xor(lane, 3);
  mine[2 * 32] = cuda::shuffle_down(lane, 4);
  mine[3 * 32] = static_cast<int>(cuda::ballot(lane % 3 == 0));
  mine[4 * 32] = cuda::warp_all(lane < 32) ? 1 : 0;
  mine[5 * 32] = cuda::warp_any(lane == 7) ? 1 : 0;
  mine[6 * 32] = cuda::warp_sum(lane);
  mine[7 * 32] = cuda::warp_max((lane * 7) % 32);
  mine[8 * 32] = cuda::warp_min(100 - lane);
  wide[lane] = cuda::shuffle(1.0 / (1 + lane), 31 - lane);
}

TEST_F(DeviceCode, LanesExchangeValues) {
  Shared<int> out(9 * 32);
  Shared<double> wide(32);
  run(1, 32, lanes_kernel, out.data(), wide.data());
  unsigned thirds = 0;
  for (unsigned lane = 0; lane < 32; lane += 3) thirds |= 1u << lane;
  for (int lane = 0; lane < 32; ++lane) {
    const auto at = [&](int row) { return out[static_cast<std::size_t>(row * 32 + lane)]; };
    EXPECT_EQ(at(0), (lane + 5) % 32 * 10);
    EXPECT_EQ(at(1), lane ^ 3);
    EXPECT_EQ(at(2), lane < 28 ? lane + 4 : lane);
    EXPECT_EQ(at(3), static_cast<int>(thirds));
    EXPECT_EQ(at(4), 1);
    EXPECT_EQ(at(5), 1);
    EXPECT_EQ(at(6), 496);
    EXPECT_EQ(at(7), 31);
    EXPECT_EQ(at(8), 69);
    EXPECT_EQ(wide[static_cast<std::size_t>(lane)], 1.0 / (32 - lane));
  }
}

/// Copies of 4, 8 and 16 bytes in three groups; of each, the last thread's is zeros.
__global__ void copies_kernel(const float* x, float* y) {
  using Unit = float[4];
  MSD_SHARED(Unit, tile, 96);
  const int t = static_cast<int>(threadIdx.x);
  const bool valid = t < 31;
  cuda::copy_async<16>(tile[t], x + 4 * t, valid);
  cuda::copy_commit();
  for (int i = 0; i < 4; i += 2) cuda::copy_async<8>(tile[32 + t] + i, x + 4 * t + i, valid);
  cuda::copy_commit();
  for (int i = 0; i < 4; ++i) cuda::copy_async<4>(tile[64 + t] + i, x + 4 * t + i, valid);
  cuda::copy_commit();
  cuda::copy_wait<2>();
  for (int i = 0; i < 4; ++i) y[4 * t + i] = tile[t][i];
  cuda::copy_wait<0>();
  cuda::block_sync();
  const int other = 31 - t;
  for (int i = 0; i < 4; ++i) {
    y[128 + 4 * other + i] = tile[32 + other][i];
    y[256 + 4 * other + i] = tile[64 + other][i];
  }
}

TEST_F(DeviceCode, CopiesLandInTheirGroups) {
  std::vector<float> values(128);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i + 1);
  Shared<float> x(values), y(384);
  run(1, 32, copies_kernel, x.data(), y.data());
  for (std::size_t i = 0; i < 384; ++i) {
    EXPECT_EQ(y[i], i % 128 < 124 ? values[i % 128] : 0.0f) << i;
  }
}

/// d += a*b for a [16][16] and b [16][8], row-major, both fetched with load_matrix_x4. a's four 8x8
/// matrices in the order of its fragment: rows 0-7 and 8-15 of columns 0-7, then of columns 8-15.
__global__ void bfloat16_product_kernel(const bfloat16* a, const bfloat16* b, float* d) {
  MSD_SHARED(bfloat16, tile_a, 16 * 16);
  MSD_SHARED(bfloat16, tile_b, 16 * 16);  // its right half is not used
  const int lane = cuda::lane_index();
  for (int i = lane; i < 256; i += 32) tile_a[i] = a[i];
  for (int i = lane; i < 256; i += 32) tile_b[i] = i % 16 < 8 ? b[i / 16 * 8 + i % 16] : a[0];
  cuda::block_sync();
  std::uint32_t fragment_a[4], fragment_b[4];
  cuda::load_matrix_x4(fragment_a, tile_a + lane % 16 * 16 + lane / 16 * 8);
  cuda::load_matrix_x4_transposed(fragment_b, tile_b + lane % 16 * 16 + lane / 16 * 8);
  const std::uint32_t left_b[2] = {fragment_b[0], fragment_b[1]};
  const int g = lane / 4, t = lane % 4;
  float sum[4] = {d[g * 8 + 2 * t], d[g * 8 + 2 * t + 1], d[(g + 8) * 8 + 2 * t],
                  d[(g + 8) * 8 + 2 * t + 1]};
  cuda::mma_m16n8k16(sum, fragment_a, left_b);
  d[g * 8 + 2 * t] = sum[0];
  d[g * 8 + 2 * t + 1] = sum[1];
  d[(g + 8) * 8 + 2 * t] = sum[2];
  d[(g + 8) * 8 + 2 * t + 1] = sum[3];
}

/// d += a*b for a [16][8] and b [8][8], row-major.
__global__ void tf32_product_kernel(const float* a, const float* b, float* d) {
  const int lane = cuda::lane_index(), g = lane / 4, t = lane % 4;
  std::uint32_t fragment_a[4], fragment_b[2];
  for (int i = 0; i < 4; ++i) {
    fragment_a[i] = cuda::to_tf32(a[(g + i % 2 * 8) * 8 + t + i / 2 * 4]);
  }
  for (int i = 0; i < 2; ++i) fragment_b[i] = cuda::to_tf32(b[(t + 4 * i) * 8 + g]);
  float sum[4] = {d[g * 8 + 2 * t], d[g * 8 + 2 * t + 1], d[(g + 8) * 8 + 2 * t],
                  d[(g + 8) * 8 + 2 * t + 1]};
  cuda::mma_m16n8k8(sum, fragment_a, fragment_b);
  d[g * 8 + 2 * t] = sum[0];
  d[g * 8 + 2 * t + 1] = sum[1];
  d[(g + 8) * 8 + 2 * t] = sum[2];
  d[(g + 8) * 8 + 2 * t + 1] = sum[3];
}

/// Small integers: every order of the sums is exact.
template <typename T>
std::vector<float> fill_integers(Shared<T>& values, std::size_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> same;
  for (std::size_t i = 0; i < count; ++i) {
    const auto value = static_cast<float>(random.integer(-8, 8));
    same.push_back(value);
    if constexpr (std::is_same_v<T, bfloat16>) {
      std::uint32_t bits;
      std::memcpy(&bits, &value, sizeof(bits));
      values[i] = __ushort_as_bfloat16(static_cast<unsigned short>(bits >> 16));
    } else {
      values[i] = value;
    }
  }
  return same;
}

template <typename T>
void expect_product(std::size_t depth, Shared<T>& a, Shared<T>& b, Shared<float>& d,
                    const std::function<void()>& product) {
  const std::vector<float> left = fill_integers(a, 16 * depth, 1);
  const std::vector<float> right = fill_integers(b, depth * 8, 2);
  std::vector<float> expected = fill_integers(d, 16 * 8, 3);
  for (std::size_t i = 0; i < 16 * 8; ++i) {
    for (std::size_t k = 0; k < depth; ++k) {
      expected[i] += left[i / 8 * depth + k] * right[k * 8 + i % 8];
    }
  }
  product();
  for (std::size_t i = 0; i < 16 * 8; ++i) EXPECT_EQ(d[i], expected[i]) << "element " << i;
}

TEST_F(DeviceCode, MatrixProductsHaveTheDocumentedLayout) {
  Shared<float> d(16 * 8);
  Shared<bfloat16> narrow_a(16 * 16), narrow_b(16 * 8);
  expect_product(16, narrow_a, narrow_b, d, [&] {
    run(1, 32, bfloat16_product_kernel, narrow_a.data(), narrow_b.data(), d.data());
  });
  Shared<float> a(16 * 8), b(8 * 8);
  expect_product(8, a, b, d,
                 [&] { run(1, 32, tf32_product_kernel, a.data(), b.data(), d.data()); });
}

__global__ void round_kernel(const float* x, std::uint32_t* tf32, unsigned short* bf16, int count) {
  const int i = static_cast<int>(threadIdx.x);
  if (i >= count) return;
  tf32[i] = cuda::to_tf32(x[i]) & 0xFFFFE000u;  // the rest is not specified
  bf16[i] = __bfloat16_as_ushort(cuda::to_bfloat16(x[i]));
}

TEST_F(DeviceCode, RoundsToTf32AndBfloat16) {
  const std::vector<float> values = {1.0f,       -1.0f,       0.0f,          0x1.002p0f,
                                     0x1.001p0f, -0x1.002p0f, 0x1.0008p0f,   0x1.01p0f,
                                     0x1.03p0f,  0x1.0101p0f, 0x1.fffffep0f, 0x1.fffffep127f};
  const std::vector<std::uint32_t> tf32 = {0x3F800000, 0xBF800000, 0x00000000, 0x3F802000,
                                           0x3F800000, 0xBF802000, 0x3F800000, 0x3F808000,
                                           0x3F818000, 0x3F808000, 0x40000000, 0x7F800000};
  const std::vector<unsigned short> bf16 = {0x3F80, 0xBF80, 0x0000, 0x3F80, 0x3F80, 0xBF80,
                                            0x3F80, 0x3F80, 0x3F82, 0x3F81, 0x4000, 0x7F80};
  Shared<float> x(values);
  Shared<std::uint32_t> wide(values.size());
  Shared<unsigned short> narrow(values.size());
  run(1, 32, round_kernel, x.data(), wide.data(), narrow.data(), static_cast<int>(values.size()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ(wide[i], tf32[i]) << values[i];
    EXPECT_EQ(narrow[i], bf16[i]) << values[i];
  }
}

}  // namespace
}  // namespace msd::test
