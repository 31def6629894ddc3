// SPDX-License-Identifier: Apache-2.0
// backends/marker/marks.hpp: the marks of a tag: the values of its carriers in a packet. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "backends/marker/options.hpp"
#include "bpf/marker_types.h"
#include "flowd/abi/base.h"

namespace flowd::marker {

/// The bits MARKER_CARRIER_* of a strategy.
[[nodiscard]] std::uint32_t carriers_of(Strategy strategy);
/// Its name in the configuration.
[[nodiscard]] const char* name_of(Strategy strategy);

/// What this strategy cannot do on a kernel without IPv6, as a sentence; empty: nothing, or the kernel has IPv6.
[[nodiscard]] std::string missing_ipv6(Strategy strategy);

/// Whether any packet can carry what this strategy writes.
[[nodiscard]] bool can_mark(Strategy strategy);

class Marks {
  public:
    explicit Marks(const Options& options) : carriers_(carriers_of(options.strategy)), dscp_(options.dscp_map) {}

    /// The mark of the packets of a flow with that hash. Empty for 0/0 and tags that do not fit.
    [[nodiscard]] marker_mark of(flowd_tag tag, std::uint64_t hash) const;
    /// The same without the bits that depend on the flow, as a catch-all.
    [[nodiscard]] marker_mark of_catch_all(flowd_tag tag) const;
    /// Whether a mark with these carriers is not empty.
    [[nodiscard]] bool carries(marker_mark mark) const;
    /// A text of the mark: "flow label 0x3fefc", "an extension header with 2/16 and DSCP 10".
    [[nodiscard]] std::string describe(marker_mark mark) const;
    /// Whether packets without an IPv6 header can be marked.
    [[nodiscard]] bool takes_ipv4() const { return (carriers_ & MARKER_CARRIER_DSCP) != 0; }
    [[nodiscard]] std::uint32_t carriers() const { return carriers_; }

  private:
    [[nodiscard]] std::optional<std::uint32_t> dscp_of(flowd_tag tag) const;
    std::uint32_t carriers_;
    std::vector<DscpRule> dscp_;
};

/// The tag of a mark; empty if it did not fit.
[[nodiscard]] std::optional<flowd_tag> tag_of(marker_mark mark);

/// The SDK's encoding of labels, for the program.
void fill_labels(marker_config& config);

}  // namespace flowd::marker
