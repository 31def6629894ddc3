// SPDX-License-Identifier: Apache-2.0
// flowd/plan.hpp: what an instance would do with the sockets of this host, without a daemon. Values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "flowd/abi/ext/plan.h"
#include "flowd/sized.hpp"

namespace flowd {

/// The sockets of this host. Borrowed.
using Connections = SizedRange<flowd_connection>;

/// What would be done with one socket. Borrows its texts.
struct Planned {
    std::uint32_t outcome = FLOWD_PLANNED_NOT;  ///< FLOWD_PLANNED_*
    std::string_view text = {};                 ///< one sentence; the reason why it is not announced
    flowd_tag tag = {};
    std::string_view rule = {};
};

/// Receives the plan. Valid during the call.
class Plan {
  public:
    explicit Plan(const flowd_plan* sink) : sink_(sink) {}

    /// `connection`: index in the list.
    flowd_result add(std::size_t connection, const Planned& planned) {
        const flowd_planned raw{
            sizeof raw,        static_cast<std::uint32_t>(connection), planned.outcome, 0, planned.tag, to_c(planned.rule),
            to_c(planned.text)};
        return sink_->add(sink_, &raw);
    }

  private:
    const flowd_plan* sink_;
};

}  // namespace flowd
