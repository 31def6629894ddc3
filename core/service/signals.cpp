// SPDX-License-Identifier: Apache-2.0
#include "core/service/signals.hpp"

#include <sys/signalfd.h>

#include <cerrno>

namespace flowd::core {

Result<Signals> Signals::block() {
    Signals signals;
    sigset_t wanted;
    ::sigemptyset(&wanted);
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGIO, SIGPWR, SIGSTKFLT})
        ::sigaddset(&wanted, number);
    for (int number = SIGRTMIN; number <= SIGRTMAX; ++number) ::sigaddset(&wanted, number);
    if (const int error = ::pthread_sigmask(SIG_BLOCK, &wanted, &signals.before_); error != 0)
        return Error::from_errno(error, "pthread_sigmask");
    (void)::signal(SIGPIPE, SIG_IGN);  // writing to a closed connection then fails with EPIPE instead of ending the process
    signals.fd_ = UniqueFd(::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals.fd_) return Error::from_errno(errno, "signalfd");
    return signals;
}

Signals::~Signals() {
    if (fd_) (void)::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

std::optional<int> Signals::take() {
    signalfd_siginfo info{};
    if (::read(fd_.get(), &info, sizeof info) != sizeof info) return std::nullopt;
    return static_cast<int>(info.ssi_signo);
}

}  // namespace flowd::core
