// SPDX-License-Identifier: Apache-2.0
// GET /flows: the live flows, a page at a time. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "flowd/host.hpp"
#include "flowd/result.hpp"

namespace flowd::api {

struct PageRequest {
    std::size_t limit = 1000;
    std::uint64_t cursor = 0;    ///< `next` of the page before; 0 begins
    flowd_flow_filter filter{};  ///< without its announcer, which is behind
    std::string announcer;

    static constexpr std::size_t most = 10'000;
    /// "limit=100&cursor=7&experiment=atlas&network=2001:db8::/32"
    [[nodiscard]] static Result<PageRequest> from(std::string_view query, const Registry& registry);
};

/// {"live":2,"flows":[...]}, those that pass the filter, and, when there may be more, "next": the `cursor` of the next
/// page. At most `limit` flows, and fewer, even none, when the part of the flow table that one page looks at has no more.
/// FLOWD_INVALID: the cursor is none that the core has given.
[[nodiscard]] Result<std::string> flow_page(const LiveFlows& table, const PageRequest& request);

}  // namespace flowd::api
