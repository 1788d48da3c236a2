# SPDX-License-Identifier: MIT
# msd_options(target): the project's warnings, include root and sanitizers.
# msd_library(name SOURCES ... DEPENDS ...): one library per folder, alias msd::name.
include(GNUInstallDirs)

function(msd_options target)
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>)
  target_compile_options(${target} PRIVATE
    $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wshadow -Wconversion -ffp-contract=fast>)
  # GCC 12 takes "text" + std::string for an overlapping copy (GCC bug 105651).
  target_compile_options(${target} PRIVATE
    $<$<AND:$<COMPILE_LANG_AND_ID:CXX,GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>)
  if(MSD_WERROR)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
  endif()
  if(MSD_SANITIZE)
    target_compile_options(${target} PRIVATE
      $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${MSD_SANITIZE} -fno-omit-frame-pointer
      -fno-sanitize-recover=all>)
    target_link_options(${target} PUBLIC -fsanitize=${MSD_SANITIZE})
  endif()
  # The kernels' unrolled loops take g++ minutes a file with every check inline (conv_units.cpp for
  # AVX-512: 257 s at -O2, 42 s so): checks are calls, and null and object-size are left to ASan,
  # which sees the same accesses.
  if(MSD_SANITIZE MATCHES "address" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${target} PRIVATE -fno-sanitize=null,object-size
      "SHELL:--param asan-instrumentation-with-call-threshold=100")
  endif()
endfunction()

function(msd_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(msd_${name} STATIC ${arg_SOURCES})
  add_library(msd::${name} ALIAS msd_${name})
  msd_options(msd_${name})
  # Few translation units for a build from nothing; one a file for whoever edits them.
  set_target_properties(msd_${name} PROPERTIES UNITY_BUILD ${MSD_UNITY_BUILD}
                                               UNITY_BUILD_BATCH_SIZE 16)
  target_link_libraries(msd_${name} PUBLIC ${arg_DEPENDS})
  target_compile_features(msd_${name} INTERFACE $<INSTALL_INTERFACE:cxx_std_20>)
endfunction()
