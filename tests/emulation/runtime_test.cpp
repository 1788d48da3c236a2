// SPDX-License-Identifier: MIT
// Streams, events, graphs and memory of the emulated runtime.
#include <array>

#include "tests/emulation/kernel_run.h"

namespace msd::emulation::test {
namespace {

using cuda::launch;

__global__ void scale_kernel(float* x, float factor, float summand) { *x = *x * factor + summand; }

struct Streams {
  Streams() {
    for (cudaStream_t& stream : all) {
      MSD_CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    }
    MSD_CUDA_CHECK(cudaEventCreateWithFlags(&event, cudaEventDefault));
    MSD_CUDA_CHECK(cudaEventCreateWithFlags(&joined, cudaEventDefault));
  }
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;
  ~Streams() {
    for (const cudaStream_t stream : all) cudaStreamDestroy(stream);
    cudaEventDestroy(event);
    cudaEventDestroy(joined);
  }
  std::array<cudaStream_t, 2> all = {};
  cudaEvent_t event = nullptr, joined = nullptr;
};

/// x = 1 on stream 0, x = 2*x + 3 on stream 1; `wait` orders them.
float across_streams(Streams& s, bool wait) {
  Floats x(std::vector<float>{0.0f});
  launch(s.all[0], 1, 1, 0, scale_kernel, x.data(), 0.0f, 1.0f);
  MSD_CUDA_CHECK(cudaEventRecord(s.event, s.all[0]));
  if (wait) MSD_CUDA_CHECK(cudaStreamWaitEvent(s.all[1], s.event));
  launch(s.all[1], 1, 1, 0, scale_kernel, x.data(), 2.0f, 3.0f);
  EXPECT_EQ(failure(), "");
  return x.values()[0];
}

TEST(Runtime, RandomTurnsShowAMissingEventWait) {
  int wrong = 0;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    start(Order::random, seed);
    Streams streams;
    EXPECT_EQ(across_streams(streams, true), 5.0f) << "seed " << seed;
    wrong += across_streams(streams, false) != 5.0f;
  }
  EXPECT_GT(wrong, 10);
  EXPECT_LT(wrong, 40);
}

TEST(Runtime, WorkRunsWhenSomebodyWaits) {
  start(Order::forward, 1);
  Streams s;
  Floats x(std::vector<float>{1.0f});
  launch(s.all[0], 1, 1, 0, scale_kernel, x.data(), 2.0f, 0.0f);
  EXPECT_EQ(x.values()[0], 1.0f);
  MSD_CUDA_CHECK(cudaEventRecord(s.event, s.all[0]));
  while (cudaEventQuery(s.event) == cudaErrorNotReady) {
  }
  EXPECT_EQ(x.values()[0], 2.0f);
  EXPECT_EQ(cudaStreamQuery(s.all[0]), cudaSuccess);
  launch(s.all[0], 1, 1, 0, scale_kernel, x.data(), 2.0f, 0.0f);
  MSD_CUDA_CHECK(cudaEventRecord(s.joined, s.all[0]));
  MSD_CUDA_CHECK(cudaEventSynchronize(s.joined));
  EXPECT_EQ(x.values()[0], 4.0f);
  float milliseconds = -1.0f;
  MSD_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, s.event, s.joined));
  EXPECT_GE(milliseconds, 0.0f);
}

TEST(Runtime, CopiesKeepTheOrderOfTheirStream) {
  start(Order::random, 3);
  Streams s;
  float* x = nullptr;
  MSD_CUDA_CHECK(cudaMallocAsync(&x, 2 * sizeof(float), s.all[0]));
  std::array<float, 2> host = {1.0f, 2.0f};
  MSD_CUDA_CHECK(cudaMemcpyAsync(x, host.data(), sizeof(host), cudaMemcpyHostToDevice, s.all[0]));
  host = {};  // pageable memory was taken over before the call returned
  launch(s.all[0], 1, 1, 0, scale_kernel, x, 2.0f, 0.0f);
  MSD_CUDA_CHECK(cudaMemcpyAsync(host.data(), x, sizeof(host), cudaMemcpyDeviceToHost, s.all[0]));
  EXPECT_EQ(host[0], 2.0f);
  EXPECT_EQ(host[1], 2.0f);
  MSD_CUDA_CHECK(cudaMemsetAsync(x, 0, sizeof(float), s.all[0]));
  MSD_CUDA_CHECK(cudaMemcpyAsync(host.data(), x, sizeof(host), cudaMemcpyDeviceToHost, s.all[0]));
  EXPECT_EQ(host[0], 0.0f);
  EXPECT_EQ(cudaMemcpyAsync(x, host.data(), 12, cudaMemcpyHostToDevice, s.all[0]),
            cudaErrorInvalidValue);
  const std::int64_t live = live_allocations();
  MSD_CUDA_CHECK(cudaFreeAsync(x, s.all[0]));
  EXPECT_EQ(live_allocations(), live);
  MSD_CUDA_CHECK(cudaStreamSynchronize(s.all[0]));
  EXPECT_EQ(live_allocations(), live - 1);
}

TEST(Runtime, PinnedMemoryIsReadWhenTheCopyRuns) {
  start(Order::forward, 1);
  float* pinned = nullptr;
  MSD_CUDA_CHECK(cudaMallocHost(&pinned, sizeof(float)));
  Floats x(1);
  *pinned = 1.0f;
  MSD_CUDA_CHECK(cudaMemcpyAsync(x.data(), pinned, sizeof(float), cudaMemcpyHostToDevice));
  *pinned = 2.0f;  // too early
  EXPECT_EQ(failure(), "");
  EXPECT_EQ(x.values()[0], 2.0f);
  MSD_CUDA_CHECK(cudaFreeHost(pinned));
}

TEST(Runtime, GraphsReplayWhatWasCapturedAcrossStreams) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    start(Order::random, seed);
    Streams s;
    Floats x(std::vector<float>{1.0f});
    MSD_CUDA_CHECK(cudaStreamBeginCapture(s.all[0], cudaStreamCaptureModeThreadLocal));
    launch(s.all[0], 1, 1, 0, scale_kernel, x.data(), 2.0f, 0.0f);
    MSD_CUDA_CHECK(cudaEventRecord(s.event, s.all[0]));
    MSD_CUDA_CHECK(cudaStreamWaitEvent(s.all[1], s.event));
    launch(s.all[1], 1, 1, 0, scale_kernel, x.data(), 1.0f, 3.0f);
    MSD_CUDA_CHECK(cudaEventRecord(s.joined, s.all[1]));
    EXPECT_EQ(cudaStreamSynchronize(s.all[0]), cudaErrorStreamCaptureUnsupported);
    MSD_CUDA_CHECK(cudaStreamWaitEvent(s.all[0], s.joined));
    cudaGraph_t graph = nullptr;
    MSD_CUDA_CHECK(cudaStreamEndCapture(s.all[0], &graph));
    cudaGraphExec_t executable = nullptr;
    MSD_CUDA_CHECK(cudaGraphInstantiate(&executable, graph));
    MSD_CUDA_CHECK(cudaGraphDestroy(graph));
    EXPECT_EQ(x.values()[0], 1.0f);
    for (int i = 0; i < 2; ++i) MSD_CUDA_CHECK(cudaGraphLaunch(executable, s.all[0]));
    EXPECT_EQ(failure(), "");
    EXPECT_EQ(x.values()[0], 13.0f);
    MSD_CUDA_CHECK(cudaGraphExecDestroy(executable));
  }
}

TEST(Runtime, ACaptureMustJoinItsStreams) {
  start(Order::forward, 1);
  Streams s;
  Floats x(1);
  MSD_CUDA_CHECK(cudaStreamBeginCapture(s.all[0], cudaStreamCaptureModeThreadLocal));
  MSD_CUDA_CHECK(cudaEventRecord(s.event, s.all[0]));
  MSD_CUDA_CHECK(cudaStreamWaitEvent(s.all[1], s.event));
  launch(s.all[1], 1, 1, 0, scale_kernel, x.data(), 1.0f, 3.0f);
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(s.all[0], &graph), cudaErrorStreamCaptureUnjoined);
  EXPECT_EQ(graph, nullptr);
}

TEST(Runtime, AFaultStopsTheDeviceUntilReset) {
  start(Order::forward, 1);
  Streams s;
  launch(
      s.all[0], 1, 32, 0, +[](float) { cuda::block_sync(); }, 0.0f);
  launch(
      s.all[0], 1, 32, 0,
      +[](float) {
        if (threadIdx.x == 0) cuda::block_sync();
      },
      0.0f);
  Floats* x = nullptr;
  (void)x;
  EXPECT_EQ(cudaStreamSynchronize(s.all[0]), cudaErrorLaunchFailure);
  EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchFailure);
  EXPECT_EQ(cudaMemset(nullptr, 0, 0), cudaErrorLaunchFailure);
  reset();
  EXPECT_EQ(cudaStreamSynchronize(s.all[0]), cudaSuccess);
}

}  // namespace
}  // namespace msd::emulation::test
