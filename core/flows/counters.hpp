// SPDX-License-Identifier: Apache-2.0
// core/flows/counters.hpp: the counters of the bus, as plain values. The daemon prints them as JSON and as metrics.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "flowd/abi/event.h"

namespace flowd::core {

// Each list below is the single source of the enumeration, of the names in `status` and metrics, and of the test of
// docs/flows.md.

/// Why an offered event was not accepted. One reason per event.
#define FLOWD_REFUSALS(X)                                                         \
    X(full, "a backend's queue: offered again by the plugin, or shed by it")      \
    X(limit_live, "flows.maxLive")                                                \
    X(limit_instance, "flows.maxPerInstance")                                     \
    X(limit_sender, "flows.maxPerSource")                                         \
    X(no_memory, "memory ran out: nothing was done, offered again by the plugin") \
    X(bad_size, "struct size or stride")                                          \
    X(bad_kind, "no kind that the core knows")                                    \
    X(bad_protocol, "0")                                                          \
    X(bad_address, "both ends unspecified")                                       \
    X(bad_reserved, "a reserved member is not 0")                                 \
    X(bad_flags, "flags that the core does not know, or that only the core sets") \
    X(bad_times, "negative")                                                      \
    X(bad_enum, "local, initiator or end_reason")                                 \
    X(bad_text, "application or rule: null with a length")                        \
    X(bad_attachments, "too many, too large, or null with a length")              \
    X(bad_catch_all, "a catch-all event with something of a flow")

/// The effects of an accepted event. One event may have several.
#define FLOWD_EFFECTS(X)                                                                        \
    X(started, "a flow starts")                                                                 \
    X(refreshed, "an announcement of a flow that this instance and sender announce already")    \
    X(joined, "one more instance announces the flow, or another sender of one")                 \
    X(retagged, "the flow has another tag")                                                     \
    X(tag_kept, "another tag, which does not replace the flow's")                               \
    X(ended, "the flow ends")                                                                   \
    X(left, "an end from an instance of lower precedence: it no longer announces the flow")     \
    X(late, "start, ongoing or end within the tombstone, not from the one that ended the flow") \
    X(double_end, "end within the tombstone from the one that had ended it")                    \
    X(foreign_end, "end from an instance or a sender that may not end the flow")                \
    X(end_unseen, "end of a flow never seen, with its start time")                              \
    X(end_no_start, "end of a flow never seen, without a start time")                           \
    X(clock_stepped, "an end before its start: taken as an end at its start")                   \
    X(catch_all, "a catch-all is set or withdrawn")

/// Why the core ended a flow.
#define FLOWD_EXPIRIES(X)                                      \
    X(idle, "metered and idle")                                \
    X(age, "announced and never refreshed for flows.maxAge")   \
    X(socket_gone, "sock_diag does not know its connection")   \
    X(enricher_gone, "an enricher reported FLOWD_SAMPLE_GONE") \
    X(unannounced, "the last instance that announced it was removed")

#define FLOWD_ENUMERATOR(name, text) name,
enum class Refusal : std::uint8_t { FLOWD_REFUSALS(FLOWD_ENUMERATOR) count_ };
enum class Effect : std::uint8_t { FLOWD_EFFECTS(FLOWD_ENUMERATOR) count_ };
enum class Expiry : std::uint8_t { FLOWD_EXPIRIES(FLOWD_ENUMERATOR) count_ };
#undef FLOWD_ENUMERATOR

[[nodiscard]] std::string_view name_of(Refusal reason);
[[nodiscard]] std::string_view name_of(Effect effect);
[[nodiscard]] std::string_view name_of(Expiry reason);

inline constexpr std::size_t event_kinds = FLOWD_EVENT_CATCH_ALL_CLEAR + 1;  ///< size of arrays by kind

template <typename Enum>
using CountsBy = std::array<std::uint64_t, static_cast<std::size_t>(Enum::count_)>;

/// The counters of a plugin.
struct AnnouncerCounters {
    std::string name;
    std::uint32_t precedence = 0;
    std::array<std::uint64_t, event_kinds> offered{};  ///< by kind, including refused ones; [0]: unknown kinds
    std::uint64_t accepted = 0;
    CountsBy<Refusal> refused{};
    CountsBy<Effect> effects{};
    std::uint64_t live = 0;  ///< flows that count towards this instance's limit
};

/// The counters of a backend.
struct BackendCounters {
    std::string name;
    std::array<std::uint64_t, event_kinds> delivered{};  ///< taken, by kind
    std::uint64_t refused = 0;                           ///< refused permanently by the backend
    std::uint64_t failed = 0;                            ///< the backend returned an error: not offered again
    std::uint64_t held = 0;                              ///< times the backend returned FULL
    std::uint64_t shed_ongoing = 0;                      ///< ongoing dropped because the queue was over three quarters full
    std::uint64_t refused_full = 0;                      ///< times emit returned FULL because of this backend
    std::uint64_t missed = 0;                            ///< starts, re-tags and ends not queued when they happened
    std::uint64_t resyncs = 0;                           ///< walks through the flow table to resynchronise this backend
    std::uint64_t resynced = 0;                          ///< events queued by them
    std::uint64_t given_up = 0;                          ///< ends that it will not receive: the table was full
    std::uint64_t stalls = 0;                            ///< times it fell behind: its queue was full and it took nothing
    std::uint64_t depth = 0;
    std::uint64_t high_water = 0;
    std::uint64_t bytes = 0;  ///< attachments and samples waiting
    std::uint64_t bytes_high_water = 0;
    std::uint64_t capacity = 0;
    bool behind = false;
    /// Time from queue to backend, of events that were taken: latency[i] counts those below 2^i us (and not below 2^(i-1));
    /// the last has no bound.
    std::array<std::uint64_t, 28> latency{};
    std::uint64_t latency_sum_us = 0;
};

struct BusCounters {
    std::uint64_t live = 0;
    std::uint64_t ended_kept =
        0;                   ///< ended flows in the table: tombstones of keys without a newer flow, and undelivered ends
    std::uint64_t owed = 0;  ///< ended flows whose end some backend has not received
    std::uint64_t tombstones_cut_short = 0;
    std::uint64_t samples = 0;               ///< from enrichers
    std::uint64_t samples_unknown = 0;       ///< of flows that had ended meanwhile
    std::uint64_t samples_invalid = 0;       ///< malformed
    std::uint64_t samples_shed = 0;          ///< above the limit of a period or a flow
    std::uint64_t attachments_not_kept = 0;  ///< above the limit of a flow or the table
    std::uint64_t socket_dumps = 0;
    std::uint64_t socket_dumps_failed = 0;
    CountsBy<Expiry> expired{};
    std::uint64_t table_bytes = 0;  ///< allocated for records and index
    std::vector<AnnouncerCounters> announcers;
    std::vector<BackendCounters> backends;
};

}  // namespace flowd::core
