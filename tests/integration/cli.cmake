# SPDX-License-Identifier: Apache-2.0
# The command as users see it, with a library as users build it.
find_package(Python3 COMPONENTS Interpreter)
if(LITHOPS_CLI AND Python3_FOUND)
  add_library(cli_functions MODULE cli_functions.c)
  set_target_properties(cli_functions PROPERTIES PREFIX ""
                        LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(cli_functions PRIVATE lithops::lithops m)
  foreach(tests beside alone)
    set(test cli_${tests}_test)
    add_test(NAME ${test} COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/cli_test.py
             $<TARGET_FILE:lithops_command> $<TARGET_FILE:cli_functions>)
    set_tests_properties(${test} PROPERTIES TIMEOUT 600 COST 300
                         ENVIRONMENT "CLI_TESTS=${tests};${LITHOPS_TEST_ENVIRONMENT}")
  endforeach()
  # It counts what killed clients left on this machine, and other tests kill clients.
  set_tests_properties(cli_alone_test PROPERTIES RUN_SERIAL TRUE)
  if(TARGET lithops_module_crypto AND TARGET lithops_module_http)
    add_test(NAME lambda_test COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/lambda_test.py
             $<TARGET_FILE:lithops_command>)
    set_tests_properties(lambda_test PROPERTIES TIMEOUT 300 COST 60
                         ENVIRONMENT "${LITHOPS_TEST_ENVIRONMENT}")
  endif()
  if(TARGET lithops_module_crypto AND TARGET lithops_module_http)
    add_test(NAME runtime_image_test
      COMMAND ${CMAKE_SOURCE_DIR}/tests/servers/with-registry ${Python3_EXECUTABLE}
              ${CMAKE_CURRENT_SOURCE_DIR}/runtime_image_test.py $<TARGET_FILE:lithops_command>)
    set_tests_properties(runtime_image_test PROPERTIES TIMEOUT 600 COST 60 SKIP_RETURN_CODE 77
                         LABELS server ENVIRONMENT "${LITHOPS_TEST_ENVIRONMENT}")
    # `make test-machines` runs those over machines that run.
    add_test(NAME machines_test
             COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/machines_test.py
                     $<TARGET_FILE:lithops_command> $<TARGET_FILE:cli_functions>)
    set_tests_properties(machines_test PROPERTIES TIMEOUT 300 COST 60
                         ENVIRONMENT "${LITHOPS_TEST_ENVIRONMENT}")
  endif()
  if(CURL_FOUND)
    add_test(NAME telemetry_test
      COMMAND ${CMAKE_SOURCE_DIR}/tests/servers/with-pushgateway ${Python3_EXECUTABLE}
              ${CMAKE_CURRENT_SOURCE_DIR}/telemetry_test.py $<TARGET_FILE:lithops_command>
              $<TARGET_FILE:cli_functions>)
    set_tests_properties(telemetry_test PROPERTIES TIMEOUT 600 COST 60 SKIP_RETURN_CODE 77
                         LABELS server ENVIRONMENT "${LITHOPS_TEST_ENVIRONMENT}")
  endif()
  if(CURL_FOUND AND TARGET lithops_module_crypto AND NOT LITHOPS_SANITIZE)
    foreach(test openwhisk_test functions_test)
      add_test(NAME ${test}
        COMMAND ${CMAKE_SOURCE_DIR}/tests/servers/with-redis ${Python3_EXECUTABLE}
                ${CMAKE_CURRENT_SOURCE_DIR}/${test}.py $<TARGET_FILE:lithops_command>
                $<TARGET_FILE:cli_functions>)
      set_tests_properties(${test} PROPERTIES TIMEOUT 300 COST 60 SKIP_RETURN_CODE 77
                           LABELS server ENVIRONMENT "${LITHOPS_TEST_ENVIRONMENT}")
    endforeach()
  endif()
else()
  message(STATUS "No python3, or no command: its tests are left out")
endif()
