// SPDX-License-Identifier: Apache-2.0
#include "core/cli/interrupt.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

namespace flowd::core::cli {
namespace {

/// A handler gets nothing but the signal's number, so this one thing has to be global.
std::atomic<int> handler_fd{-1};

void on_signal(int) {
    const int saved = errno;
    const std::uint64_t one = 1;
    (void)!::write(handler_fd.load(std::memory_order_relaxed), &one, sizeof one);
    errno = saved;
}

}  // namespace

Result<Interrupt> Interrupt::listen() {
    UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!fd) return Error::from_errno(errno, "eventfd");
    Interrupt made(std::move(fd));
    handler_fd = made.fd();
    struct sigaction action {};
    action.sa_handler = &on_signal;
    action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
    for (std::size_t i = 0; i < signals.size(); ++i) ::sigaction(signals[i], &action, &made.before_[i]);
    return made;
}

Interrupt::~Interrupt() {
    if (!fd_) return;
    for (std::size_t i = 0; i < signals.size(); ++i) ::sigaction(signals[i], &before_[i], nullptr);
    handler_fd = -1;
}

}  // namespace flowd::core::cli
