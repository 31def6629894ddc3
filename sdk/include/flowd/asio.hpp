// SPDX-License-Identifier: Apache-2.0
// flowd/asio.hpp: an instance with its own event loop, on Boost.Asio. For a component whose Info has .loop =
// FLOWD_LOOP_OWN:
//
//   class Api final : public flowd::Plugin {
//       flowd::AsioLoop loop_{host()};
//       flowd::Result<void> run() override { return loop_.run(); }
//   };
//
// Needs Boost 1.66 or later, headers only. All calls are for the instance's thread; any thread may post to context().
#pragma once

#include <version>
#if defined(_LIBCPP_VERSION) && !defined(BOOST_ASIO_HAS_STD_INVOKE_RESULT)
#define BOOST_ASIO_HAS_STD_INVOKE_RESULT 1  // Boost before 1.76 asks libc++ for std::result_of, which C++20 removed
#endif

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/system/error_code.hpp>
#include <chrono>
#include <string>
#include <utility>

#include "flowd/host.hpp"
#include "flowd/module.hpp"
#include "flowd/result.hpp"

namespace flowd {

class AsioLoop {
  public:
    explicit AsioLoop(Host& host) : host_(host), context_(1), core_(context_) {}
    AsioLoop(const AsioLoop&) = delete;
    AsioLoop& operator=(const AsioLoop&) = delete;
    ~AsioLoop() { release(); }

    [[nodiscard]] boost::asio::io_context& context() { return context_; }

    /// For Component::run: runs the io_context and the core's calls until the instance is stopped. An exception of a
    /// handler is logged; the loop continues.
    Result<void> run() {
        boost::system::error_code error;
        core_.assign(host_.loop_fd(), error);
        if (error) return Error{FLOWD_ERROR, "the core's descriptor cannot be watched: " + error.message()};
        wait();
        while (!stopped_) {
            detail::guarded(host_.raw(), "a handler of the loop", [this] { context_.run_one(); });
            if (context_.stopped()) context_.restart();  // a handler stopped it; only the core decides when to end
            // Not from the handler: Asio keeps handlers that are queued inside run_one() for that call, and drain() in
            // Component::stop, which the core calls from here, would wait for them in vain.
            if (std::exchange(core_is_ready_, false)) dispatch();
        }
        release();
        return std::move(failure_);
    }

    /// For Component::stop: continues to run handlers while `busy` returns true, until the deadline. False: it passed.
    template <typename Busy>
    bool drain(Deadline deadline, Busy busy) {
        while (busy()) {
            if (deadline.passed()) return false;
            std::size_t served = 1;
            detail::guarded(host_.raw(), "a handler of the loop", [&] { served = context_.run_one_for(deadline.left()); });
            const bool out_of_work = served == 0 && context_.stopped();
            if (context_.stopped()) context_.restart();
            if (out_of_work) return !busy();  // no handler is left that could change it
        }
        return true;
    }

  private:
    using Descriptor = boost::asio::posix::stream_descriptor;

    void wait() {
        core_.async_wait(Descriptor::wait_read, [this](const boost::system::error_code& error) {
            if (error == boost::asio::error::operation_aborted || stopped_) return;
            if (error) {
                failure_ = Error{FLOWD_ERROR, "waiting for the core failed: " + error.message()};
                stopped_ = true;
                return;
            }
            core_is_ready_ = true;
        });
    }
    void dispatch() {
        const flowd_result result = host_.dispatch();
        if (result == FLOWD_OK) return wait();
        if (result != FLOWD_STOPPED) failure_ = Error{result, "the core refused to dispatch"};
        stopped_ = true;
    }
    /// The core owns the descriptor: release it, never close it.
    void release() {
        if (core_.is_open()) (void)core_.release();
    }

    Host& host_;
    boost::asio::io_context context_;
    Descriptor core_;
    bool core_is_ready_ = false;
    bool stopped_ = false;
    Result<void> failure_;
};

}  // namespace flowd
