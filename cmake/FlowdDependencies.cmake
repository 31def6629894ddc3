# SPDX-License-Identifier: Apache-2.0
# docs/dependencies.md says why each of them is here and what it is called on EL9.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(Boost 1.74 REQUIRED) # header-only use: DLL, Asio
find_package(yaml-cpp REQUIRED)
find_package(spdlog REQUIRED)
find_package(fmt REQUIRED)
find_package(CLI11 REQUIRED)
find_package(simdjson REQUIRED)
pkg_check_modules(libbpf REQUIRED IMPORTED_TARGET libbpf>=0.7)
find_package(ZLIB REQUIRED)
pkg_check_modules(libmnl REQUIRED IMPORTED_TARGET libmnl)
pkg_check_modules(libsystemd REQUIRED IMPORTED_TARGET libsystemd)
pkg_check_modules(rdkafka REQUIRED IMPORTED_TARGET rdkafka>=1.6)
pkg_check_modules(libcrypto REQUIRED IMPORTED_TARGET libcrypto>=3.0)
pkg_check_modules(sqlite3 REQUIRED IMPORTED_TARGET sqlite3>=3.34)
find_package(Python3 REQUIRED COMPONENTS Interpreter) # manual pages of modules

if(FLOWD_TESTS)
  find_package(GTest REQUIRED)
endif()
if(FLOWD_BENCHMARKS)
  find_package(benchmark REQUIRED)
endif()

# BPF programs are always compiled by clang, whatever compiles the rest.
find_program(BPF_CLANG NAMES clang clang-14 clang-15 clang-16 REQUIRED)
find_program(BPFTOOL NAMES bpftool PATHS /usr/sbin /sbin REQUIRED)
