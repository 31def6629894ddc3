// SPDX-License-Identifier: Apache-2.0
// The replies to `flows` and `observe` of the control socket. They take a time that grows with the number of flows: not on
// the main thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "core/host/services.hpp"
#include "flowd/filter.hpp"
#include "flowd/result.hpp"

namespace flowd::core {

/// `flows [LIMIT] [ended] [sort=FIELD] [summary=GROUP] [filter=TEXT]`
struct FlowsRequest {
    enum class Sort { none, source, destination, tag, age, sent, received, bytes, rate, marked };
    enum class Group { none, tag, network, port, plugin };

    std::size_t limit = 10'000;
    bool ended = false;
    Sort sort = Sort::none;
    Group group = Group::none;
    Filter filter;

    static constexpr std::size_t max_limit = 100'000;  ///< about 30 MB of JSON: bounds the reply
    /// `words` without the command. The registry outlives the result.
    [[nodiscard]] static Result<FlowsRequest> from(std::span<const std::string> words, const Registry& registry);
};

/// {"live":2,"matched":2,"flows":[...],"shown":2}: the first `limit` flows in the order of `sort`, or in no particular
/// order. With a group: {"live":2,"matched":2,"groups":[{"group":"atlas/Production","flows":2,...}]}, largest first.
[[nodiscard]] std::string flows_json(const Services& services, const FlowsRequest& request);

/// `observe [after=POSITION] [last=N] [limit=N] [filter=TEXT]`
struct ObserveRequest {
    std::uint64_t position = 0;       ///< 0: the oldest event that is kept
    std::optional<std::size_t> last;  ///< only so many matching events, the latest
    std::size_t limit = 10'000;       ///< events that are read, whether they match or not
    Filter filter;

    [[nodiscard]] static Result<ObserveRequest> from(std::span<const std::string> words, const Registry& registry);
};

/// {"events":[...],"lost":0,"next":7}: `lost` events were replaced before they were read; `next` is the position to
/// continue at. FLOWD_INVALID: the position is not one of this daemon.
[[nodiscard]] Result<std::string> observe_json(const Services& services, const ObserveRequest& request);

}  // namespace flowd::core
