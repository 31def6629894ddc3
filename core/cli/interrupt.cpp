// SPDX-License-Identifier: Apache-2.0
#include "core/cli/interrupt.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>

namespace flowd::core::cli {
namespace {

sigset_t wanted() {
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, SIGINT);
    ::sigaddset(&set, SIGTERM);
    return set;
}

}  // namespace

Result<std::unique_ptr<Interrupt>> Interrupt::listen() {
    std::unique_ptr<Interrupt> made(new Interrupt);
    const sigset_t set = wanted();
    made->fd_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    made->over_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    made->signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!made->fd_ || !made->over_ || !made->signals_) return Error::from_errno(errno, "listening for interrupts");
    ::pthread_sigmask(SIG_BLOCK, &set, &made->before_);
    made->watcher_ = std::thread([interrupt = made.get()] { interrupt->watch(); });
    return made;
}

void Interrupt::watch() const {
    bool again = false;
    while (true) {
        pollfd fds[] = {{signals_.get(), POLLIN, 0}, {over_.get(), POLLIN, 0}};
        if (::poll(fds, 2, -1) < 0 && errno != EINTR) return;
        if (fds[1].revents != 0) return;
        signalfd_siginfo info{};
        if (::read(signals_.get(), &info, sizeof info) != sizeof info) continue;
        if (!again) {
            (void)::eventfd_write(fd_.get(), 1);
            again = true;
            continue;
        }
        const sigset_t set = wanted();
        ::signal(static_cast<int>(info.ssi_signo), SIG_DFL);
        ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
        ::raise(static_cast<int>(info.ssi_signo));
    }
}

Interrupt::~Interrupt() {
    if (!watcher_.joinable()) return;
    (void)::eventfd_write(over_.get(), 1);
    watcher_.join();
    // The command has ended as requested: the signal's default action must not follow.
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    }
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

}  // namespace flowd::core::cli
