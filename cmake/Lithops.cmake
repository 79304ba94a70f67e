# SPDX-License-Identifier: Apache-2.0
# Compiler settings, and four functions that the folders use:
#   lithops_sources(file...)                   add files of this folder to the engine
#   lithops_module(name SOURCES... LIBS...)    a part that is loaded when it is first needed
#   lithops_library(PREFIX name pc ...)        look for the library that a module needs
#   lithops_test(name [SOURCES...] [LIBS...] [SERVER script [option]])  a cmocka test, one process, one time limit

include(CTest)
find_package(PkgConfig)

# Warnings are errors in the presets that developers and CI use (CMAKE_COMPILE_WARNING_AS_ERROR),
# not for users: their compiler may know warnings that ours does not.
add_compile_options(-Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes
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

# With LITHOPS_STATIC_LIBRARIES the modules hold the libraries they need, as far as there are static
# ones; nothing of those is seen outside of the module. For wheels, see tools/wheels.
function(lithops_link_statically prefix)
  set(files "")
  foreach(library ${${prefix}_STATIC_LIBRARIES})
    execute_process(COMMAND ${CMAKE_C_COMPILER} -print-file-name=lib${library}.a
                    OUTPUT_VARIABLE file OUTPUT_STRIP_TRAILING_WHITESPACE)
    if(NOT IS_ABSOLUTE "${file}" OR library MATCHES "^(pthread|m|dl|rt|c)$")
      set(file -l${library})
    endif()
    list(APPEND files ${file})
  endforeach()
  set_target_properties(PkgConfig::${prefix} PROPERTIES INTERFACE_LINK_LIBRARIES ""
    INTERFACE_LINK_OPTIONS "-Wl,--exclude-libs,ALL;-Wl,--gc-sections;-Wl,--no-undefined")
  # One item: CMake would take repeated ones out of the list.
  string(REPLACE ";" "," files "-Wl,--as-needed,--start-group;${files};-lpthread;-lm;-ldl;--end-group")
  set_property(TARGET PkgConfig::${prefix} PROPERTY INTERFACE_LINK_LIBRARIES ${files})
endfunction()

# Look for the library of module `name` by its pkg-config name, as PkgConfig::<prefix>. `without` is
# what cannot be done if it is missing, `library` and `package` what to install then: the build says
# so, and at run time module.c does. A library that may have no pkg-config file is also looked for by
# the header and file name that follow. -DLITHOPS_WITH_<NAME>=OFF leaves the module out, ON insists;
# -DLITHOPS_WITH_ALL=ON, which is for packagers, insists on each that nothing is said about.
option(LITHOPS_WITH_ALL "A library that a module needs and that is not found is an error")
function(lithops_library prefix name pc without library package)
  string(TOUPPER LITHOPS_WITH_${name} option)
  set(${option} AUTO CACHE STRING "The module '${name}', over ${library}: AUTO, ON or OFF")
  set_property(CACHE ${option} PROPERTY STRINGS AUTO ON OFF)
  if(LITHOPS_WITH_ALL AND ${option} STREQUAL AUTO)
    set(${option} ON)
  endif()
  set(found 0)
  if((${option} STREQUAL AUTO OR ${option}) AND PKG_CONFIG_FOUND)
    pkg_check_modules(${prefix} QUIET IMPORTED_TARGET GLOBAL ${pc})
    if(${prefix}_FOUND)
      set(found 1)
      if(LITHOPS_STATIC_LIBRARIES)
        lithops_link_statically(${prefix})
      endif()
    elseif(ARGC EQUAL 8 AND LITHOPS_STATIC_LIBRARIES)
      execute_process(COMMAND ${CMAKE_C_COMPILER} -print-file-name=lib${ARGV7}.a
                      OUTPUT_VARIABLE file OUTPUT_STRIP_TRAILING_WHITESPACE)
      if(IS_ABSOLUTE "${file}")
        set(found 1)
        set(${prefix}_STATIC_LIBRARIES ${ARGV7})
        add_library(PkgConfig::${prefix} INTERFACE IMPORTED GLOBAL)
        lithops_link_statically(${prefix})
      endif()
    elseif(ARGC EQUAL 8)
      find_path(${prefix}_HEADER ${ARGV6})
      find_library(${prefix}_FILE ${ARGV7})
      if(${prefix}_HEADER AND ${prefix}_FILE)
        set(found 1)
        add_library(PkgConfig::${prefix} INTERFACE IMPORTED GLOBAL)
        target_include_directories(PkgConfig::${prefix} INTERFACE ${${prefix}_HEADER})
        target_link_libraries(PkgConfig::${prefix} INTERFACE ${${prefix}_FILE})
      endif()
    endif()
  endif()
  if(NOT found AND ${option} STREQUAL AUTO)
    message(STATUS "${library} not found: ${without} (Debian: ${package})")
  elseif(NOT found AND ${option})
    message(FATAL_ERROR "${library} not found (Debian: ${package}), but LITHOPS_WITH_ALL or ${option} is ON")
  endif()
  set(${prefix}_FOUND ${found} PARENT_SCOPE)
  set_property(GLOBAL APPEND_STRING PROPERTY lithops_module_rows
    "    {\"${name}\", \"${without}\", \"${library}\", \"${package}\", ${found}},\n")
endfunction()

# After all folders: what module.c knows of the modules.
function(lithops_write_module_table)
  get_property(rows GLOBAL PROPERTY lithops_module_rows)
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/module_table.h
       CONTENT "/* Made by CMake: name, what is missing without it, library, package, built. */\n@rows@" @ONLY)
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
  set_property(GLOBAL APPEND PROPERTY lithops_modules lithops_module_${name})
endfunction()
add_custom_target(lithops_all_modules ALL)

if(LITHOPS_TESTS)
  if(NOT PKG_CONFIG_FOUND)
    message(FATAL_ERROR "The tests need pkg-config and cmocka; -DLITHOPS_TESTS=OFF builds without")
  endif()
  pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
endif()

# AddressSanitizer takes what lies before the thread-local memory of OpenSSL for its size.
set(LITHOPS_TEST_ENVIRONMENT "")
if(LITHOPS_SANITIZE)
  set(LITHOPS_TEST_ENVIRONMENT LITHOPS_TEST_SANITIZED=1
      "LSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/cmake/lsan.supp:print_suppressions=0"
      "ASAN_OPTIONS=intercept_tls_get_addr=0")
endif()

# Tests see the hidden symbols: they link the objects, not the shared library.
function(lithops_test name)
  if(NOT LITHOPS_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "OPT_IN" "TIMEOUT" "SOURCES;LIBS;SERVER" ${ARGN})
  if(NOT ARG_SOURCES)
    set(ARG_SOURCES ${name}.c)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 60)
  endif()
  # Long ones begin first, and short ones fill up what is left.
  set(cost ${ARG_TIMEOUT})
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
  if(ARG_OPT_IN) # a target of the Makefile runs it
    return()
  endif()
  # SERVER is a script that runs the test while a server is up, and exits 77 where it has none.
  add_test(NAME ${name} COMMAND ${ARG_SERVER} $<TARGET_FILE:${name}>)
  set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77)
  if(ARG_SERVER)
    set_tests_properties(${name} PROPERTIES LABELS server)
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} COST ${cost}
    ENVIRONMENT "LITHOPS_MODULE_PATH=${CMAKE_BINARY_DIR}/lib/lithops;${LITHOPS_TEST_ENVIRONMENT}")
endfunction()
