// SPDX-License-Identifier: Apache-2.0
// flowd/emit.hpp: emitting many events, past those that the core will never take.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "flowd/host.hpp"

namespace flowd {

/// Emits in order until all events are settled or the core takes none for now. [any]
/// `settled(index, result)` or `settled(index, result, flow_id)` is called for each, in order: FLOWD_OK, it was taken;
/// FLOWD_INVALID (malformed) or FLOWD_LIMIT (a limit is reached), it never will be and is left behind. Answers how many are
/// settled, and why no more are: FLOWD_FULL (offer the rest again on on_room), FLOWD_STOPPED, or an error.
template <typename Settled>
Emitted emit_each(const Host& host, std::span<const flowd_event> events, Settled&& settled) {
    constexpr bool wants_ids = std::is_invocable_v<Settled, std::size_t, flowd_result, std::uint64_t>;
    std::vector<std::uint64_t> ids(wants_ids ? events.size() : 0);
    std::size_t done = 0;
    const auto settle = [&](flowd_result result, std::uint64_t flow_id) {
        if constexpr (wants_ids)
            settled(done, result, flow_id);
        else
            settled(done, result);
        ++done;
    };
    while (done < events.size()) {
        const Emitted emitted = host.emit(events.subspan(done), ids);
        for (std::size_t i = 0; i < emitted.accepted; ++i) settle(FLOWD_OK, wants_ids ? ids[i] : 0);
        if (emitted.ok()) break;
        if (emitted.result != FLOWD_INVALID && emitted.result != FLOWD_LIMIT) return {emitted.result, done};
        settle(emitted.result, 0);
    }
    return {FLOWD_OK, done};
}

}  // namespace flowd
