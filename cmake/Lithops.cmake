# SPDX-License-Identifier: Apache-2.0
# Compiler settings, and three functions that the folders use:
#   lithops_sources(file...)                   add files of this folder to the engine
#   lithops_module(name SOURCES... LIBS...)    a part that is loaded when it is first needed
#   lithops_test(name [SOURCES...] [LIBS...])  a cmocka test, one process, one time limit

include(CTest)
find_package(PkgConfig REQUIRED)

add_compile_options(-Wall -Wextra -Werror -Wshadow -Wpointer-arith -Wstrict-prototypes
                    -Wmissing-prototypes -Wwrite-strings -Wvla -Wundef -fno-math-errno)
add_compile_definitions(_GNU_SOURCE)
if(LITHOPS_SANITIZE)
  add_compile_options(-fsanitize=${LITHOPS_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${LITHOPS_SANITIZE})
endif()

function(lithops_sources)
  foreach(file ${ARGN})
    target_sources(lithops_objects PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/${file})
  endforeach()
endfunction()

# A module is lib/lithops/<name>.so; it holds what needs a library that the engine does not link,
# so that a program which never draws a plot or reads a URL does not pay for loading it.
function(lithops_module name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
  add_library(lithops_module_${name} MODULE ${ARG_SOURCES}
              ${CMAKE_SOURCE_DIR}/src/base/module_version.c)
  set_target_properties(lithops_module_${name} PROPERTIES PREFIX "" OUTPUT_NAME ${name}
                        LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib/lithops)
  target_include_directories(lithops_module_${name} PRIVATE ${CMAKE_SOURCE_DIR}/include
                             ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(lithops_module_${name} PRIVATE ${ARG_LIBS})
  install(TARGETS lithops_module_${name} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/lithops)
  add_dependencies(lithops_all_modules lithops_module_${name})
endfunction()
add_custom_target(lithops_all_modules ALL)

if(LITHOPS_TESTS)
  pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
endif()

set(LITHOPS_TEST_ENVIRONMENT "")
if(LITHOPS_SANITIZE)
  set(LITHOPS_TEST_ENVIRONMENT LITHOPS_TEST_SANITIZED=1
      "LSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/cmake/lsan.supp:print_suppressions=0")
endif()

# Tests see the hidden symbols: they link the objects, not the shared library.
function(lithops_test name)
  if(NOT LITHOPS_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LIBS" ${ARGN})
  if(NOT ARG_SOURCES)
    set(ARG_SOURCES ${name}.c)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 60)
  endif()
  if(LITHOPS_SANITIZE AND ARG_TIMEOUT LESS 600)
    set(ARG_TIMEOUT 600) # everything is slower then, and some things very much
  endif()
  add_executable(${name} ${ARG_SOURCES} $<TARGET_OBJECTS:lithops_objects>)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests
                        ENABLE_EXPORTS ON)
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR}/src)
  # cmocka 2 would have names that cmocka 1 does not know yet.
  target_compile_definitions(${name} PRIVATE CMOCKA_DISABLE_DEPRECATION_WARNINGS)
  target_link_libraries(${name} PRIVATE PkgConfig::CMOCKA Threads::Threads ${CMAKE_DL_LIBS} m
                        ${ARG_LIBS})
  add_dependencies(${name} lithops_all_modules)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT}
    ENVIRONMENT "LITHOPS_MODULE_PATH=${CMAKE_BINARY_DIR}/lib/lithops;${LITHOPS_TEST_ENVIRONMENT}")
endfunction()
