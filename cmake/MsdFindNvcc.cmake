# SPDX-License-Identifier: MIT
# Sets MSD_NVCC to the first nvcc of CUDA 12 or later (C++20) among: CMAKE_CUDA_COMPILER, CUDACXX,
# PATH, CUDA_HOME, /usr/local/cuda, the nvidia wheels of the python3 on PATH; to NOTFOUND where none.
# As a script (cmake -P) it prints the path, or nothing.
include(${CMAKE_CURRENT_LIST_DIR}/MsdWheels.cmake)

function(msd_find_nvcc)
  msd_wheel_roots(roots)
  set(candidates "${CMAKE_CUDA_COMPILER}" "$ENV{CUDACXX}")
  find_program(on_path nvcc NO_CACHE)
  list(APPEND candidates "${on_path}" "$ENV{CUDA_HOME}/bin/nvcc" /usr/local/cuda/bin/nvcc)
  foreach(root IN LISTS roots)
    list(APPEND candidates "${root}/bin/nvcc")
  endforeach()
  set(found NOTFOUND)
  foreach(candidate IN LISTS candidates)
    if(EXISTS "${candidate}")
      execute_process(COMMAND "${candidate}" --version OUTPUT_VARIABLE version ERROR_QUIET)
      if(version MATCHES "release ([0-9]+)" AND CMAKE_MATCH_1 GREATER_EQUAL 12)
        set(found "${candidate}")
        break()
      endif()
    endif()
  endforeach()
  set(MSD_NVCC "${found}" PARENT_SCOPE)
endfunction()

if(CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
  msd_find_nvcc()
  if(MSD_NVCC)
    message("${MSD_NVCC}")
  endif()
endif()
