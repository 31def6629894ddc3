// SPDX-License-Identifier: Apache-2.0
#include "core/flows/catch_all.hpp"

#include <string_view>
#include <utility>

#include "flowd/event.hpp"
#include "flowd/sized.hpp"

namespace flowd::core {

flowd_result CatchAll::set(AnnouncerId id, const flowd_event& event, std::int64_t system_ns) {
    const std::string_view application = to_view(event.application);
    FlowTexts texts = application.empty() ? FlowTexts() : FlowTexts(application, {});
    const Announcer& announcer = members_.announcer(id.slot);
    const std::lock_guard lock(mutex_);
    if (!members_.is_valid(id)) return FLOWD_STOPPED;  // the plugin may have been removed meanwhile
    Own& own = own_[id.slot];
    if (!own.present) own.sequence = ++last_sequence_;
    own.present = event.kind == FLOWD_EVENT_CATCH_ALL;
    own.event = event;
    own.event.attachments = nullptr;
    own.event.attachment_count = 0;
    own.event.attachment_stride = 0;
    own.event.application = {};
    own.event.rule = {};
    own.event.announcer = to_c(members_.name(announcer.name_number()));
    own.event.precedence = announcer.precedence();
    if (own.event.time_ns == 0) own.event.time_ns = system_ns;
    own.texts = std::move(texts);
    evaluate(system_ns);
    return FLOWD_OK;
}

void CatchAll::withdraw(std::uint32_t slot, std::int64_t system_ns) {
    const std::lock_guard lock(mutex_);
    if (!std::exchange(own_[slot], {}).present) return;
    evaluate(system_ns);
}

void CatchAll::evaluate(std::int64_t system_ns) {
    const Own* best = nullptr;
    std::uint32_t best_precedence = 0;
    for (std::size_t slot = 0; slot < own_.size(); ++slot) {
        const Own& own = own_[slot];
        if (!own.present) continue;
        const std::uint32_t precedence = members_.announcer(slot).precedence();
        if (best && (precedence < best_precedence || (precedence == best_precedence && own.sequence > best->sequence)))
            continue;
        best = &own;
        best_precedence = precedence;
    }
    if (!best && !in_force_.present) return;
    if (best && in_force_.present && same_tag(best->event.tag, in_force_.event.tag)) return;
    if (best) {
        in_force_ = *best;
    } else {
        in_force_.present = false;
        in_force_.event.kind = FLOWD_EVENT_CATCH_ALL_CLEAR;
        in_force_.event.time_ns = system_ns;
    }
    // Serves as id of the event, so that a backend receives one; flow ids of shards are never below 2^32.
    in_force_.event.flow_id = version_ + 1;
    ++version_;
}

CatchAll::State CatchAll::state() const {
    const std::lock_guard lock(mutex_);
    return {version_, in_force_.event, in_force_.texts};
}

}  // namespace flowd::core
