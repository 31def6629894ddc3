// SPDX-License-Identifier: Apache-2.0
#include "lib/watch/outbox.hpp"

#include <string>

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

void Outbox::stop() {
    retry_.stop();
    if (!waiting_.empty()) host_.warning(std::to_string(waiting_.size()) + " events found no room before the stop");
}

void Outbox::status(json::Writer& object) const {
    object.member("refused", refused_).member("pauses", pauses_).member("paused", full_);
}

}  // namespace flowd::watch
