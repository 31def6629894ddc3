// SPDX-License-Identifier: Apache-2.0
#include <malloc.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <iostream>

#include "core/cli/app.hpp"
#include "core/service/daemon.hpp"

namespace {

// A reload that is asked for, or a stop, while the program is still being put together must wait for the daemon, not kill
// it. Before any library's initialiser runs this blocks these signals for `run`, which takes them by signalfd; what remains
// is the time of the dynamic linker. A plain system call: no library is ready.
void hold_signals(int argc, char** argv, char**) {
    bool runs = false;
    for (int i = 1; i < argc; ++i) runs = runs || std::strcmp(argv[i], "run") == 0;
    const unsigned long mask = (1UL << (SIGHUP - 1)) | (1UL << (SIGTERM - 1)) | (1UL << (SIGINT - 1));
    if (runs) (void)::syscall(SYS_rt_sigprocmask, SIG_BLOCK, &mask, nullptr, sizeof mask);
}

__attribute__((section(".preinit_array"), used)) void (*const hold_signals_first)(int, char**, char**) = hold_signals;

flowd::core::ExitCode run_daemon(const flowd::core::cli::GlobalOptions& global) {
    flowd::core::DaemonOptions options;
    options.conf = global.conf;
    options.control = global.control;
    options.modules = global.modules;
    options.log.level = flowd::core::parse_log_level(global.log_level).value_or(options.log.level);
    options.log.time = global.log_time;
    return flowd::core::Daemon(std::move(options)).run();
}

}  // namespace

int main(int argc, char** argv) {
    // The C library merges all small free blocks when a large one is wanted: with a million flows that takes milliseconds,
    // under the lock of a shard.
    ::mallopt(M_MXFAST, 0);
    // libbpf reads the kernel's BTF, several megabytes, for a moment. Unless these are set, the C library takes its size as
    // threshold once it is freed, and from then on keeps twice as much in the heap.
    ::mallopt(M_MMAP_THRESHOLD, 1 << 20);
    ::mallopt(M_TRIM_THRESHOLD, 1 << 20);
    const bool terminal = ::isatty(STDOUT_FILENO) == 1;
    return flowd::core::to_int(flowd::core::cli::run(
        argc, argv, {std::cout, std::cerr, terminal, run_daemon, std::cin, terminal && ::isatty(STDIN_FILENO) == 1}));
}
