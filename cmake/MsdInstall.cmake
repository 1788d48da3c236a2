# SPDX-License-Identifier: MIT
# `cmake --install`: the programs, the libraries, their headers under include/msd (so that the
# root-relative includes work from there), and a package for find_package(msd).
include(CMakePackageConfigHelpers)

install(TARGETS msd-train msd-eval msd-infer msd-convert RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

foreach(library cuda kernels engine models data)
  set_target_properties(msd_${library} PROPERTIES EXPORT_NAME ${library})
  install(TARGETS msd_${library} EXPORT msd-targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
endforeach()

set(headers ${CMAKE_INSTALL_INCLUDEDIR}/msd)
install(DIRECTORY engine models data DESTINATION ${headers} FILES_MATCHING PATTERN "*.h"
        PATTERN models/onnx EXCLUDE)
install(DIRECTORY kernels/contracts DESTINATION ${headers}/kernels FILES_MATCHING PATTERN "*.h")
install(FILES kernels/error.h kernels/op_list.inc kernels/ops.h kernels/view.h
        DESTINATION ${headers}/kernels)
# What engine/runtime.h needs of a backend; the rest of it is private.
install(FILES kernels/cpu/device/op_table.h kernels/cpu/device/thread_pool.h
        DESTINATION ${headers}/kernels/cpu/device)
install(FILES kernels/cuda/device/context.h kernels/cuda/device/handle.h kernels/cuda/device/stream.h
        DESTINATION ${headers}/kernels/cuda/device)

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/msd)
install(EXPORT msd-targets NAMESPACE msd:: DESTINATION ${package})
configure_package_config_file(cmake/msd-config.cmake.in msd-config.cmake
  INSTALL_DESTINATION ${package} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(msd-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/msd-config.cmake ${PROJECT_BINARY_DIR}/msd-config-version.cmake
              cmake/FindLibzip.cmake
        DESTINATION ${package})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
