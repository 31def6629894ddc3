// SPDX-License-Identifier: Apache-2.0
// backends/marker/coverage.hpp: the share of bytes that left with a tag, and what left without one. Belongs to the
// instance's thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "backends/marker/marking.hpp"
#include "flowd/host.hpp"
#include "flowd/json.hpp"

namespace flowd::marker {

/// Of outgoing IPv4 and IPv6 packets; other frames cannot carry a tag and are not part of it. Bytes as on the wire.
struct Share {
    std::uint64_t tagged = 0;
    std::uint64_t total = 0;

    /// 0 to 1; nothing left: 1, because nothing left without a tag.
    [[nodiscard]] double ratio() const {
        return total == 0 ? 1.0 : static_cast<double>(tagged) / static_cast<double>(total);
    }
};

struct Coverage {
    using Place = std::pair<std::string, const char*>;  ///< interface, "ipv4" or "ipv6"

    Share total;  ///< each packet once: of a lower interface only what was marked there
    std::map<Place, Share> places;
    std::map<std::pair<Place, const char*>, std::uint64_t> results;  ///< bytes by "tagged" or the outcome
    std::map<std::string_view, std::uint64_t> reasons;               ///< bytes without a tag by outcome
    std::map<std::uint32_t, std::uint64_t> experiments;              ///< bytes with a tag
};

/// Sums up what the program has counted since it was loaded.
[[nodiscard]] Result<Coverage> coverage_of(const Marking& marking);

/// Who sent bytes without a tag.
struct Talker {
    std::string service;     ///< path of its control group
    std::string network;     ///< remote: "2001:db8::/64", "192.0.2.0/24"
    std::uint32_t port = 0;  ///< local; 0: an ephemeral one, or none
    std::string protocol;
    const char* reason = "";
    std::uint64_t bytes = 0;
};
/// The largest first. An estimate: one sample for each 16 KiB without a tag.
[[nodiscard]] Result<std::vector<Talker>> talkers_of(const Marking& marking, std::size_t most);

/// The coverage as time series.
class CoverageSeries {
  public:
    /// Both must outlive this.
    CoverageSeries(const Host& host, const Marking& marking) : host_(host), marking_(marking) {}
    void publish();

  private:
    const Host& host_;
    const Marking& marking_;
    std::map<std::vector<std::string>, Gauge> ratios_;
    std::map<std::vector<std::string>, Counter> bytes_;
};

/// The answer of `marker coverage`.
[[nodiscard]] Result<void> write_coverage(json::Writer& answer, const Marking& marking, const Registry& registry);

}  // namespace flowd::marker
