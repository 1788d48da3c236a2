# SPDX-License-Identifier: MIT
# Defines xxhash::headers: the directory that holds xxhash.h (Debian: libxxhash-dev), used header-only.
find_path(xxhash_INCLUDE_DIR xxhash.h)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(xxhash REQUIRED_VARS xxhash_INCLUDE_DIR)
if(xxhash_FOUND AND NOT TARGET xxhash::headers)
  add_library(xxhash::headers INTERFACE IMPORTED)
  target_include_directories(xxhash::headers SYSTEM INTERFACE ${xxhash_INCLUDE_DIR})
endif()
mark_as_advanced(xxhash_INCLUDE_DIR)
