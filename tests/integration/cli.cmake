# SPDX-License-Identifier: Apache-2.0
# The command as a user sees it, with a library as a user builds it.
find_package(Python3 COMPONENTS Interpreter)
if(LITHOPS_CLI AND Python3_FOUND)
  add_library(cli_functions MODULE cli_functions.c)
  set_target_properties(cli_functions PROPERTIES PREFIX ""
                        LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(cli_functions PRIVATE lithops::lithops m)
  add_test(NAME cli_test COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/cli_test.py
           $<TARGET_FILE:lithops_command> $<TARGET_FILE:cli_functions>)
  set_tests_properties(cli_test PROPERTIES TIMEOUT 600 ENVIRONMENT "${LITHOPS_TEST_ENVIRONMENT}")
else()
  message(STATUS "No python3, or no command: cli_test is left out")
endif()
