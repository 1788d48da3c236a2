# SPDX-License-Identifier: MIT
# `cmake --install`: the programs, the library, the headers of its face (models/api/msd) and a
# package for find_package(msd), whose target is msd::msd.
include(CMakePackageConfigHelpers)

install(TARGETS msd-train msd-eval msd-infer msd-convert RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

# The others are there to be linked with msd::msd only: no header of theirs comes along.
foreach(library cuda kernels engine models data)
  set_target_properties(msd_${library} PROPERTIES EXPORT_NAME ${library})
endforeach()
install(TARGETS msd_api msd_cuda msd_kernels msd_engine msd_models msd_data EXPORT msd-targets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})

# Where the tree has a header that includes another room's, the prefix has that one in its place.
install(FILES models/api/msd/classifier.h kernels/error.h engine/image_fit.h
              models/exits/exit_rule.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/msd)

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/msd)
install(EXPORT msd-targets NAMESPACE msd:: DESTINATION ${package})
configure_package_config_file(cmake/msd-config.cmake.in msd-config.cmake
  INSTALL_DESTINATION ${package} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(msd-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/msd-config.cmake ${PROJECT_BINARY_DIR}/msd-config-version.cmake
              cmake/FindLibzip.cmake cmake/FindWebP.cmake
        DESTINATION ${package})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
