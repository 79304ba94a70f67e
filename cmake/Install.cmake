# SPDX-License-Identifier: Apache-2.0
# What `make install` puts where: the library and its modules, headers, the command, and what
# lets other builds find them (pkg-config and CMake). Man pages and completions are installed
# by man/ and src/cli/.

set_property(TARGET lithops APPEND PROPERTY LINK_DEPENDS ${CMAKE_SOURCE_DIR}/cmake/lithops.map)
target_link_options(lithops PRIVATE -Wl,--version-script=${CMAKE_SOURCE_DIR}/cmake/lithops.map)
if(NOT LITHOPS_SANITIZE)
  target_link_options(lithops PRIVATE -Wl,--no-undefined)
endif()
add_library(lithops::lithops ALIAS lithops)

install(TARGETS lithops EXPORT lithopsTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/lithops DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.h")

configure_file(cmake/lithops.pc.in ${CMAKE_BINARY_DIR}/lithops.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/lithops.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/lithops)
configure_package_config_file(cmake/lithopsConfig.cmake.in
  ${CMAKE_BINARY_DIR}/lithopsConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/lithopsConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/lithopsConfig.cmake ${CMAKE_BINARY_DIR}/lithopsConfigVersion.cmake
        DESTINATION ${package_dir})
install(EXPORT lithopsTargets NAMESPACE lithops:: DESTINATION ${package_dir})
