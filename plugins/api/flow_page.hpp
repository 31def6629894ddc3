// SPDX-License-Identifier: Apache-2.0
// GET /flows: the live flows, a page at a time, in the order of their ids. Any thread.
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
    std::uint64_t after = 0;  ///< flows with a greater id only

    static constexpr std::size_t most = 10'000;
    /// "limit=100&after=7"
    [[nodiscard]] static Result<PageRequest> from(std::string_view query);
};

/// {"live":2,"flows":[...]} and, when there are more, "next": the `after` of the next page. Each page looks at the whole
/// table once and holds no more than `limit` flows.
[[nodiscard]] std::string flow_page(const FlowTable& table, const PageRequest& request);

}  // namespace flowd::api
