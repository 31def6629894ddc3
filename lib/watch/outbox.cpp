// SPDX-License-Identifier: Apache-2.0
#include "lib/watch/outbox.hpp"

#include <string>

namespace flowd::watch {

bool Outbox::put(const Event& event) {
    if (!full_) {
        const flowd_result result = host_.emit(event).result;
        if (result == FLOWD_OK || result == FLOWD_STOPPED) return true;
        if (result != FLOWD_FULL) {
            ++refused_;
            return false;
        }
        full_ = true;
        ++pauses_;
    }
    waiting_.push_back(event);
    return true;
}

bool Outbox::drain() {
    while (!waiting_.empty()) {
        const flowd_result result = host_.emit(waiting_.front()).result;
        if (result == FLOWD_FULL) return false;
        if (result != FLOWD_OK && result != FLOWD_STOPPED) ++refused_;
        waiting_.pop_front();
    }
    full_ = false;
    return true;
}

void Outbox::stop() {
    if (!waiting_.empty()) host_.warning(std::to_string(waiting_.size()) + " events found no room before the stop");
}

void Outbox::status(json::Writer& object) const {
    object.member("refused", refused_).member("pauses", pauses_).member("paused", full_);
}

}  // namespace flowd::watch
