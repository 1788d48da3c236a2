// SPDX-License-Identifier: MIT
// 1x1 convolutions and linear layers by cuBLASLt. A view of rows x channels with a pitch is, in
// its order, a matrix of channels x rows whose columns are a pitch apart; packed weights are read
// as they lie. Sums in float; conv factors bf16, float or, with tf32, rounded floats.
//   forward   y  = w^T  * x  [+ bias] [relu]
//   data      dx (+)= w * dy      (from packed weights: their transpose, so w^T again)
//   weights   dw = x * dy^T, dbias = sums of dy's rows
// Repeatable: partial sums go through the workspace in float, never to d. Never ran on a GPU yet.
#include "kernels/libraries/cudnn/matmul.h"

#include "kernels/libraries/cudnn/session.h"

namespace msd::cudnn {
namespace {

using cuda::AlgorithmKey;
using cuda::ChoosableOp;

struct Side {
  std::int64_t rows, columns, pitch, alignment_bytes;
  bool transposed = false;
};
struct Product {
  Side a, b, d;
  cudaDataType_t d_type;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  bool accumulate = false;
};

template <typename T>
void set(cublasLtMatmulDesc_t description, cublasLtMatmulDescAttributes_t name, const T& value) {
  MSD_CUBLAS_CHECK(cublasLtMatmulDescSetAttribute(description, name, &value, sizeof(value)));
}

auto layout_of(const Side& side, cudaDataType_t type) {
  cublasLtMatrixLayout_t layout = nullptr;
  MSD_CUBLAS_CHECK(cublasLtMatrixLayoutCreate(&layout, type, static_cast<std::uint64_t>(side.rows),
                                              static_cast<std::uint64_t>(side.columns),
                                              side.pitch));
  return cuda::UniqueHandle<cublasLtMatrixLayout_t, destroy_layout>(layout);
}

inline void destroy_preference(cublasLtMatmulPreference_t preference) noexcept {
  cublasLtMatmulPreferenceDestroy(preference);
}

/// Picks cuBLASLt's first choice for the matmul.
void choose(const Session& session, const Product& product, std::int64_t most_bytes,
            Matmul& matmul) {
  cublasLtMatmulPreference_t made = nullptr;
  MSD_CUBLAS_CHECK(cublasLtMatmulPreferenceCreate(&made));
  const cuda::UniqueHandle<cublasLtMatmulPreference_t, destroy_preference> preference(made);
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t name, const auto& value) {
    MSD_CUBLAS_CHECK(
        cublasLtMatmulPreferenceSetAttribute(preference.get(), name, &value, sizeof(value)));
  };
  const auto bytes = [](const Side& side) {
    return static_cast<std::uint32_t>(side.alignment_bytes);
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<std::uint64_t>(most_bytes));
  prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
         static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, bytes(product.a));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, bytes(product.b));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, bytes(product.d));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, bytes(product.d));
  cublasLtMatmulHeuristicResult_t result = {};
  int found = 0;
  MSD_CUBLAS_CHECK(cublasLtMatmulAlgoGetHeuristic(
      session.cublas.get(), matmul.description.get(), matmul.a.get(), matmul.b.get(),
      matmul.d.get(), matmul.d.get(), preference.get(), 1, &result, &found));
  if (found == 0) throw CudaError("cuBLASLt has no algorithm for it");
  MSD_CUBLAS_CHECK(result.state);
  matmul.algorithm = result.algo;
  matmul.workspace_bytes = static_cast<std::int64_t>(result.workspaceSize);
}

Matmul plan(const Session& session, const AlgorithmKey& p, const Product& product,
            std::int64_t most_bytes) {
  Matmul matmul;
  cublasLtMatmulDesc_t made = nullptr;
  MSD_CUBLAS_CHECK(cublasLtMatmulDescCreate(
      &made, p.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F));
  matmul.description = decltype(matmul.description)(made);
  const auto operation = [](const Side& side) {
    return side.transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
  };
  set(made, CUBLASLT_MATMUL_DESC_TRANSA, operation(product.a));
  set(made, CUBLASLT_MATMUL_DESC_TRANSB, operation(product.b));
  set(made, CUBLASLT_MATMUL_DESC_EPILOGUE, product.epilogue);
  if (p.bias) set(made, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, CUDA_R_32F);
  const cudaDataType_t type = p.dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F;
  matmul.a = layout_of(product.a, type);
  matmul.b = layout_of(product.b, type);
  matmul.d = layout_of(product.d, product.d_type);
  matmul.accumulate = product.accumulate;
  choose(session, product, most_bytes, matmul);
  return matmul;
}

bool is_linear(const AlgorithmKey& p) {
  return p.op == ChoosableOp::linear_forward || p.op == ChoosableOp::linear_backward;
}

/// From one row of conv_pack's weights to the next (kernels/cuda/convolution/packed_weights.cuh).
std::int64_t packed_pitch(std::int64_t ins, DType dtype) {
  return round_up(ins, dtype == DType::bf16 ? 8 : 4);
}

Side activation(std::int64_t channels, std::int64_t rows, const cuda::OperandLayout& layout) {
  return {channels, rows, layout.pitch, layout.alignment_bytes};
}

Product forward(const AlgorithmKey& p, cudaDataType_t type) {
  const std::int64_t pitch = is_linear(p) ? p.cin : packed_pitch(p.cin, p.dtype);
  const cublasLtEpilogue_t epilogue =
      p.bias   ? p.relu ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_BIAS
      : p.relu ? CUBLASLT_EPILOGUE_RELU
               : CUBLASLT_EPILOGUE_DEFAULT;
  return {.a = {p.cin, p.cout, pitch, p.weight_alignment_bytes, true},
          .b = activation(p.cin, p.rows(), p.x),
          .d = activation(p.cout, p.rows(), p.y),
          .d_type = type,
          .epilogue = epilogue};
}

Product data_gradient(const AlgorithmKey& p, cudaDataType_t type) {
  const Side linear = {p.cin, p.cout, p.cin, p.weight_alignment_bytes};
  const Side packed = {p.cout, p.cin, packed_pitch(p.cout, p.dtype), p.weight_alignment_bytes,
                       true};
  return {.a = is_linear(p) ? linear : packed,
          .b = activation(p.cout, p.rows(), p.y),
          .d = activation(p.cin, p.rows(), is_linear(p) ? p.dx : p.x),
          .d_type = type,
          .accumulate = p.accumulate};
}

Product weight_gradient(const AlgorithmKey& p) {
  Side dy = activation(p.cout, p.rows(), p.y);
  dy.transposed = true;
  return {.a = activation(p.cin, p.rows(), p.x),
          .b = dy,
          .d = {p.cin, p.cout, p.cin, p.weight_alignment_bytes},
          .d_type = CUDA_R_32F,
          .epilogue = p.bias ? CUBLASLT_EPILOGUE_BGRADB : CUBLASLT_EPILOGUE_DEFAULT};
}

void run(const Session& session, const Matmul& matmul, const void* a, const void* b, void* d,
         const void* bias, void* workspace) {
  if (bias != nullptr) set(matmul.description.get(), CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  const float one = 1.0f, beta = matmul.accumulate ? 1.0f : 0.0f;
  MSD_CUBLAS_CHECK(
      cublasLtMatmul(session.cublas.get(), matmul.description.get(), &one, a, matmul.a.get(), b,
                     matmul.b.get(), &beta, d, matmul.d.get(), d, matmul.d.get(), &matmul.algorithm,
                     workspace, static_cast<std::size_t>(matmul.workspace_bytes), session.stream));
}

}  // namespace

std::vector<Matmul> plan_matmuls(const Session& session, const AlgorithmKey& p,
                                 std::int64_t most_bytes) {
  if (!p.is_product()) throw CudaError("no product of matrices");
  if (p.rows() == 0 || p.cin == 0 || p.cout == 0) throw CudaError("nothing to multiply");
  if (is_linear(p) && p.dtype != DType::f32) {
    throw CudaError("weights are not of the activations' type, or f64");
  }
  const cudaDataType_t type = p.dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F;
  std::vector<Matmul> matmuls;
  const auto add = [&](const Product& product, bool bias) {
    AlgorithmKey one = p;
    one.bias = bias;
    matmuls.push_back(plan(session, one, product, most_bytes));
  };
  switch (p.op) {
    case ChoosableOp::conv_forward:
    case ChoosableOp::linear_forward:
      add(forward(p, type), p.bias);
      break;
    case ChoosableOp::conv_backward_data:
      add(data_gradient(p, type), false);
      break;
    case ChoosableOp::conv_backward_weight:
      add(weight_gradient(p), p.bias);
      break;
    case ChoosableOp::linear_backward:
      add(weight_gradient(p), p.bias);
      if (p.dx.pitch > 0) add(data_gradient(p, type), false);
      break;
    default:
      throw CudaError("no product of matrices");
  }
  return matmuls;
}

void run_matmuls(const Session& session, const AlgorithmKey& p, const std::vector<Matmul>& matmuls,
                 const cuda::Operands& o) {
  switch (p.op) {
    case ChoosableOp::conv_forward:
    case ChoosableOp::linear_forward:
      run(session, matmuls[0], o.weight, o.x, o.y, o.bias, o.workspace);
      break;
    case ChoosableOp::conv_backward_data:
      run(session, matmuls[0], o.weight, o.dy, o.dx, nullptr, o.workspace);
      break;
    default:
      run(session, matmuls[0], o.x, o.dy, o.dw, o.dbias, o.workspace);
      if (matmuls.size() > 1) run(session, matmuls[1], o.weight, o.dy, o.dx, nullptr, o.workspace);
  }
}

}  // namespace msd::cudnn
