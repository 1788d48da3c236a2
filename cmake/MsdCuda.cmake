# SPDX-License-Identifier: MIT
# Enables CUDA as MSD_CUDA says and sets MSD_CUDA_ENABLED. nvcc is looked for on PATH, in CUDA_HOME,
# in /usr/local/cuda and in the nvidia wheels of the python3 on PATH.
set(MSD_CUDA_ENABLED 0)
if(NOT MSD_CUDA STREQUAL "OFF")
  find_program(MSD_NVCC nvcc HINTS ENV CUDACXX ENV CUDA_HOME /usr/local/cuda PATH_SUFFIXES bin)
  if(NOT MSD_NVCC)
    find_program(MSD_PYTHON3 python3)
    if(MSD_PYTHON3)
      execute_process(
        COMMAND ${MSD_PYTHON3} -c
                "import glob, sysconfig; print(';'.join(glob.glob(sysconfig.get_path('purelib') + '/nvidia/*/bin')))"
        OUTPUT_VARIABLE msd_wheel_bins OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
      find_program(MSD_NVCC nvcc HINTS ${msd_wheel_bins})
    endif()
  endif()
  if(MSD_NVCC)
    set(CMAKE_CUDA_COMPILER ${MSD_NVCC})
    set(CMAKE_CUDA_ARCHITECTURES ${MSD_CUDA_ARCHITECTURES})
    enable_language(CUDA)
    set(MSD_CUDA_ENABLED 1)
    # CMake before 3.26 refuses CUDA_STANDARD 20.
    string(APPEND CMAKE_CUDA_FLAGS " -std=c++20 -lineinfo")
    find_package(CUDAToolkit REQUIRED)
    message(STATUS "CUDA backend: ${CMAKE_CUDA_COMPILER} (${CMAKE_CUDA_COMPILER_VERSION}), "
                   "architectures ${MSD_CUDA_ARCHITECTURES}")
  elseif(MSD_CUDA STREQUAL "ON")
    message(FATAL_ERROR "MSD_CUDA=ON but no nvcc found; install the CUDA toolkit "
                        "(https://developer.nvidia.com/cuda-downloads) or set CUDA_HOME")
  else()
    message(STATUS "CUDA backend: off, no nvcc found (install the CUDA toolkit from "
                   "https://developer.nvidia.com/cuda-downloads, or pip install nvidia-cuda-nvcc)")
  endif()
endif()
