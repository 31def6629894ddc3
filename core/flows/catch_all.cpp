// SPDX-License-Identifier: Apache-2.0
// The catch-all: one tag for everything that has no flow of its own. It is a state, not a flow: backends that accept it
// are told the present one when they take, so it needs no place in a queue and cannot be lost.
#include <string_view>

#include "core/flows/bus_state.hpp"
#include "flowd/event.hpp"
#include "flowd/sized.hpp"

namespace flowd::core {

flowd_result BusState::set_catch_all(AnnouncerId id, const Incoming& in, Now time, Tally& tally, Notices& notices) {
    {
        const std::lock_guard lock(catch_all_mutex);
        AnnouncerSlot& announcer = announcers[id.slot];
        // remove_announcer changes the generation before it withdraws the catch-all under this lock.
        if (announcer.generation != id.generation) return FLOWD_STOPPED;
        CatchAll& own = catch_alls[id.slot];
        const bool had = own.present;
        own.present = in.event.kind == FLOWD_EVENT_CATCH_ALL;
        own.event = in.event;
        own.event.attachments = nullptr;
        own.event.attachment_count = 0;
        own.event.attachment_stride = 0;
        const std::string_view application(in.event.application.data, in.event.application.length);
        own.texts = application.empty() ? FlowTexts() : FlowTexts(application, {});
        own.event.application = {};
        own.event.rule = {};
        own.event.announcer = to_c(names[announcer.name_number]);
        own.event.precedence = announcer.precedence;
        if (own.event.time_ns == 0) own.event.time_ns = time.system;
        if (!had) own.sequence = ++catch_all_sequence;
        tally.note(Effect::catch_all);
    }
    tell_catch_all(time.system, notices);
    return FLOWD_OK;
}

void BusState::withdraw_catch_all(std::uint32_t slot, std::int64_t system_ns, Notices& notices) {
    {
        const std::lock_guard lock(catch_all_mutex);
        if (!catch_alls[slot].present) return;
        catch_alls[slot] = CatchAll{};
    }
    tell_catch_all(system_ns, notices);
}

void BusState::tell_catch_all(std::int64_t system_ns, Notices& notices) {
    {
        const std::lock_guard lock(catch_all_mutex);
        const CatchAll* best = nullptr;
        std::uint32_t best_precedence = 0;
        for (std::size_t i = 0; i < catch_alls.size(); ++i) {
            const CatchAll& own = catch_alls[i];
            if (!own.present) continue;
            const std::uint32_t precedence = announcers[i].precedence;
            if (best && (precedence < best_precedence || (precedence == best_precedence && own.sequence > best->sequence)))
                continue;
            best = &own;
            best_precedence = precedence;
        }
        if (!best && !present_catch_all.present) return;
        if (best && present_catch_all.present && same_tag(best->event.tag, present_catch_all.event.tag)) return;
        // The id of the announcement, so that what a backend receives has one; no shard hands out ids below 2^32.
        const std::uint64_t version = catch_all_version + 1;
        if (best) {
            present_catch_all = *best;
        } else {
            present_catch_all.present = false;
            present_catch_all.event.time_ns = system_ns;
        }
        present_catch_all.event.flow_id = version;
        catch_all_version = version;
    }
    // Any lock of a shard keeps the backends in place.
    const std::lock_guard lock(shards[0].mutex);
    for_each_bit(shards[0].active, [&](unsigned slot) {
        QueueCore& queue = *backends[slot];
        const std::lock_guard queue_lock(queue.mutex);
        if (queue.disarm()) notices.wake(backends[slot]);
    });
}

}  // namespace flowd::core
