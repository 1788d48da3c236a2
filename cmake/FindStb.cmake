# SPDX-License-Identifier: MIT
# Defines Stb::image: the directory that holds stb_image.h (Debian: libstb-dev).
find_path(Stb_INCLUDE_DIR stb_image.h PATH_SUFFIXES stb)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Stb REQUIRED_VARS Stb_INCLUDE_DIR)
if(Stb_FOUND AND NOT TARGET Stb::image)
  add_library(Stb::image INTERFACE IMPORTED)
  target_include_directories(Stb::image SYSTEM INTERFACE ${Stb_INCLUDE_DIR})
endif()
mark_as_advanced(Stb_INCLUDE_DIR)
