# SPDX-License-Identifier: Apache-2.0
option(FLOWD_TESTS "Build the tests" ON)
option(FLOWD_BENCHMARKS "Build the benchmarks" ON)
option(FLOWD_FUZZERS "Build the fuzzers (clang only)" OFF)
set(FLOWD_SANITIZE "" CACHE STRING "Sanitizers for everything that is built: address,undefined or thread")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  # Paths below the tree are cached as relative ones, so that every checkout shares what another compiled.
  set(launcher ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE_PROGRAM})
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
endif()

# The build tree is laid out like an installed one, so that the daemon finds its modules the same way in both.
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
set(FLOWD_MODULE_SUBDIR flowd-cpp/modules)
set(FLOWD_MODULE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib/${FLOWD_MODULE_SUBDIR})
