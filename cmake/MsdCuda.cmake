# SPDX-License-Identifier: MIT
# Enables CUDA as MSD_CUDA says and sets MSD_CUDA_ENABLED. MsdFindNvcc.cmake says where nvcc may be.
include(MsdFindNvcc)
set(MSD_CUDA_ENABLED 0)
if(NOT MSD_CUDA STREQUAL "OFF")
  msd_find_nvcc()
  if(MSD_NVCC)
    set(CMAKE_CUDA_COMPILER ${MSD_NVCC})
    set(CMAKE_CUDA_ARCHITECTURES ${MSD_CUDA_ARCHITECTURES})
    enable_language(CUDA)
    set(MSD_CUDA_ENABLED 1)
    # CMake before 3.26 refuses CUDA_STANDARD 20, which would follow from the C++ standard required.
    set(CMAKE_CUDA_STANDARD_REQUIRED OFF)
    string(APPEND CMAKE_CUDA_FLAGS " -std=c++20 -lineinfo")
    find_package(CUDAToolkit REQUIRED)
    message(STATUS "CUDA backend: ${CMAKE_CUDA_COMPILER} (${CMAKE_CUDA_COMPILER_VERSION}), "
                   "architectures ${MSD_CUDA_ARCHITECTURES}")
  elseif(MSD_CUDA STREQUAL "ON")
    message(FATAL_ERROR "MSD_CUDA=ON but no nvcc of CUDA 12 or later found; install the CUDA "
                        "toolkit (https://developer.nvidia.com/cuda-downloads) or set CUDA_HOME")
  else()
    message(STATUS "CUDA backend: off, no nvcc of CUDA 12 or later found (install the toolkit from "
                   "https://developer.nvidia.com/cuda-downloads, or pip install nvidia-cuda-nvcc "
                   "nvidia-cuda-runtime nvidia-cuda-cccl)")
  endif()
endif()
