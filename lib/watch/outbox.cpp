// SPDX-License-Identifier: Apache-2.0
#include "lib/watch/outbox.hpp"

#include <algorithm>

namespace flowd::watch {

bool Outbox::put(const Event& event) {
    const auto refused = refused_;
    waiting_.push_back(event);
    if (full_) return true;
    if (!drain()) ++pauses_;
    return refused_ == refused;
}

bool Outbox::drain() {
    while (!waiting_.empty()) {
        const Emitted emitted = host_.emit(waiting_.front());
        if (emitted.result == FLOWD_INVALID || emitted.result == FLOWD_LIMIT) {
            ++refused_;
        } else {
            const EmitRetry::Next next = retry_.after(emitted);
            full_ = next == EmitRetry::Next::wait;
            if (full_) return false;
            if (next == EmitRetry::Next::give_up) ++refused_;
        }
        waiting_.pop_front();
    }
    full_ = false;
    return true;
}

void Outbox::stop(const Deadline& deadline) {
    deadline.await([this] { return drain(); });
    retry_.stop();
    // Of what else waits the core knows the flow, and ends it itself.
    const auto starts = std::count_if(waiting_.begin(), waiting_.end(),
                                      [](const Event& event) { return event->kind == FLOWD_EVENT_START; });
    host_.lost(static_cast<std::uint64_t>(starts), "flows were not announced before the stop");
}

void Outbox::status(json::Writer& object) const {
    object.member("refused", refused_).member("pauses", pauses_).member("paused", full_);
}

}  // namespace flowd::watch
