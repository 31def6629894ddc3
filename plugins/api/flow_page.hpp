// SPDX-License-Identifier: Apache-2.0
// GET /flows and GET /history: the live and the ended flows, a page at a time, and the sums per minute. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "flowd/filter.hpp"
#include "flowd/host.hpp"
#include "flowd/json.hpp"
#include "flowd/result.hpp"

namespace flowd::api {

struct PageRequest {
    std::size_t limit = 1000;
    std::uint64_t cursor = 0;    ///< `next` of the previous page; 0: the first page
    flowd_flow_filter filter{};  ///< without announcer, which is the next member
    std::string announcer;
    Filter terms;  ///< of the parameter `filter`

    static constexpr std::size_t most = 10'000;
    /// "limit=100&cursor=7&experiment=atlas&network=2001:db8::/32"
    [[nodiscard]] static Result<PageRequest> from(std::string_view query, const Registry& registry);
};

/// {"live":2,"flows":[...]} with the flows that pass the filter and, if there may be more, "next": the `cursor` of the next
/// page. At most `limit` flows; fewer or none if the part of the flow table that one page examines has no more.
/// FLOWD_INVALID: the core has not issued this cursor.
[[nodiscard]] Result<std::string> flow_page(const LiveFlows& table, const PageRequest& request);
/// {"ended":2,"flows":[...]}, the latest first; otherwise the same.
[[nodiscard]] Result<std::string> history_page(const History& history, const PageRequest& request);

/// {"minutes":[...]} from `from` on, RFC 3339; all that are kept if it is missing.
[[nodiscard]] Result<std::string> minutes_page(const History& history, std::string_view query);

/// One line of GET /events, without its end.
void write_observed(json::Writer& writer, const flowd_observed& observed);

}  // namespace flowd::api
