// SPDX-License-Identifier: Apache-2.0
// Counts flows whose tag is not in the registry, by tag: a mistyped tag in production is seen. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/config/registry.hpp"
#include "core/flows/minutes.hpp"
#include "core/host/metrics.hpp"

namespace flowd::core {

class UnregisteredTags {
  public:
    /// Further tags are counted together.
    static constexpr std::size_t max_tags = 64;
    static constexpr std::int64_t warning_period_ns = 600'000'000'000;

    struct Count {
        std::string tag;    ///< "4/57"
        std::string words;  ///< "experiment lhcb (4), activity 57"
        std::string hint;   ///< what its activity or experiment may have been meant as; empty: unknown
        std::uint64_t flows = 0;
    };

    /// Counts the flows that started. A text for the log, at most one in `warning_period_ns`; `now_ns`: monotonic.
    [[nodiscard]] std::optional<std::string> add(const std::vector<MinuteSum>& sums, const Registry& registry,
                                                 std::int64_t now_ns);
    [[nodiscard]] std::vector<Count> counts(const Registry& registry) const;
    [[nodiscard]] std::vector<MetricSample> metrics() const;

  private:
    using Tag = std::pair<std::uint32_t, std::uint32_t>;
    static constexpr Tag others{FLOWD_TAG_OTHER, FLOWD_TAG_OTHER};

    mutable std::mutex mutex_;
    std::map<Tag, std::uint64_t> flows_;
    std::map<Tag, std::uint64_t> unreported_;  ///< since the last text for the log
    std::optional<std::int64_t> reported_ns_;
};

}  // namespace flowd::core
