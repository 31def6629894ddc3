// SPDX-License-Identifier: Apache-2.0
#include "core/base/thread.hpp"

#include <signal.h>

namespace flowd::core {

namespace {

void* run(void* argument) {
    const std::unique_ptr<std::function<void()>> body(static_cast<std::function<void()>*>(argument));
    (*body)();
    return nullptr;
}

}  // namespace

Result<std::unique_ptr<Thread>> Thread::start(const std::string& name, std::function<void()> body, std::size_t stack) {
    std::unique_ptr<Thread> thread(new Thread);  // NOLINT: the constructor is private
    auto owned = std::make_unique<std::function<void()>>(std::move(body));

    pthread_attr_t attributes;
    (void)::pthread_attr_init(&attributes);
    (void)::pthread_attr_setstacksize(&attributes, stack);
    // Signals belong to the main thread; the new one inherits this mask, and modules' own threads inherit it from there.
    sigset_t all, before;
    ::sigfillset(&all);
    (void)::pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = ::pthread_create(&thread->thread_, &attributes, run, owned.get());
    (void)::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    (void)::pthread_attr_destroy(&attributes);
    if (error != 0) {
        return Error::from_errno(error, "pthread_create");
    }
    thread->started_ = true;
    (void)owned.release();  // NOLINT: run() owns it now
    (void)::pthread_setname_np(thread->thread_, name.substr(0, 15).c_str());
    return thread;
}

}  // namespace flowd::core
