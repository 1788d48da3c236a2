# SPDX-License-Identifier: MIT
# Finds cuDNN 9 and cuBLASLt for the plugin (kernels/libraries/cudnn) as MSD_CUDNN says, and sets
# MSD_CUDNN_ENABLED. Header and library come from one root, so that they are of one version: the
# first that has both among CUDNN_HOME (variable or environment), the toolkit, the nvidia wheels of
# the python3 on PATH, /usr.
include(MsdWheels)
set(MSD_CUDNN_ENABLED 0)

# msd_find_library_with_header(prefix header libraries... ): sets prefix_INCLUDE and prefix_LIBRARY.
function(msd_find_library_with_header prefix header)
  set(${prefix}_LIBRARY NOTFOUND PARENT_SCOPE)
  foreach(root IN LISTS MSD_LIBRARY_ROOTS)
    find_path(include ${header} PATHS ${root} PATH_SUFFIXES include include/x86_64-linux-gnu
                                                            include/aarch64-linux-gnu
              NO_DEFAULT_PATH NO_CACHE)
    find_library(library NAMES ${ARGN} PATHS ${root}
                 PATH_SUFFIXES lib64 lib lib/x86_64-linux-gnu lib/aarch64-linux-gnu
                 NO_DEFAULT_PATH NO_CACHE)
    if(include AND library)
      set(${prefix}_INCLUDE ${include} PARENT_SCOPE)
      set(${prefix}_LIBRARY ${library} PARENT_SCOPE)
      return()
    endif()
    unset(include)
    unset(library)
  endforeach()
endfunction()

if(NOT MSD_CUDNN STREQUAL "OFF")
  if(MSD_CUDA_ENABLED)
    msd_wheel_roots(wheels)
    get_filename_component(toolkit ${CUDAToolkit_BIN_DIR} DIRECTORY)
    set(MSD_LIBRARY_ROOTS ${CUDNN_HOME} $ENV{CUDNN_HOME} ${toolkit} ${wheels} /usr)
    msd_find_library_with_header(MSD_CUDNN cudnn_graph.h libcudnn.so.9 cudnn)
    msd_find_library_with_header(MSD_CUBLASLT cublasLt.h libcublasLt.so.13 libcublasLt.so.12
                                 cublasLt)
    set(why "cuDNN 9 or cuBLASLt not found")
    if(MSD_CUDNN_LIBRARY AND MSD_CUBLASLT_LIBRARY)
      file(READ ${MSD_CUDNN_INCLUDE}/cudnn_version.h version_header)
      string(REGEX MATCH "CUDNN_MAJOR ([0-9]+)" matched "${version_header}")
      set(major "${CMAKE_MATCH_1}")
      string(REGEX MATCH "CUDNN_MINOR ([0-9]+)" matched "${version_header}")
      set(minor "${CMAKE_MATCH_1}")
      if(major EQUAL 9)
        set(MSD_CUDNN_ENABLED 1)
        message(STATUS "cuDNN plugin: cuDNN ${major}.${minor}, ${MSD_CUDNN_LIBRARY}, "
                       "${MSD_CUBLASLT_LIBRARY}")
      else()
        set(why "cuDNN 9 is needed, ${MSD_CUDNN_INCLUDE} has ${major}.${minor}")
      endif()
    endif()
  else()
    set(why "there is no CUDA backend")
  endif()
  if(NOT MSD_CUDNN_ENABLED)
    if(MSD_CUDNN STREQUAL "ON")
      message(FATAL_ERROR "MSD_CUDNN=ON but ${why}; install cuDNN "
                          "(https://developer.nvidia.com/cudnn) or set CUDNN_HOME")
    endif()
    message(STATUS "cuDNN plugin: off, ${why}")
  endif()
endif()
