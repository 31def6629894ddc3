// SPDX-License-Identifier: Apache-2.0
// flowd/emit.hpp: emitting many events, past those that the core will never take.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "flowd/host.hpp"

namespace flowd {

/// Emits in order until all events are settled or the core takes none for now. [any]
/// `settled(index, result)` is called for each, in order: FLOWD_OK, it was taken; FLOWD_INVALID (malformed) or FLOWD_LIMIT
/// (a cap is reached), it never will be and is left behind. Answers how many are settled, and why no more are: FLOWD_FULL
/// (offer the rest again on on_room), FLOWD_STOPPED, or an error.
template <typename Settled>
Emitted emit_each(const Host& host, std::span<const flowd_event> events, Settled&& settled) {
    std::size_t done = 0;
    while (done < events.size()) {
        const Emitted emitted = host.emit(events.subspan(done));
        for (std::size_t i = 0; i < emitted.accepted; ++i) settled(done++, flowd_result{FLOWD_OK});
        if (emitted.ok()) break;
        if (emitted.result != FLOWD_INVALID && emitted.result != FLOWD_LIMIT) return {emitted.result, done};
        settled(done++, emitted.result);
    }
    return {FLOWD_OK, done};
}

}  // namespace flowd
