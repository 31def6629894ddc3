// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <iostream>

#include "core/cli/app.hpp"
#include "core/service/daemon.hpp"

namespace {

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
    return flowd::core::to_int(
        flowd::core::cli::run(argc, argv, {std::cout, std::cerr, ::isatty(STDOUT_FILENO) == 1, run_daemon}));
}
