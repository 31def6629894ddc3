// SPDX-License-Identifier: Apache-2.0
// backends/marker/told.hpp: the marks that packets should have according to the running daemon, for tools. One thread.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "backends/marker/marks.hpp"
#include "bpf/lib/flow_hash.h"
#include "flowd/verify.hpp"

namespace flowd::marker {

struct FlowKeyHash {
    std::size_t operator()(const flow_key& key) const { return flow_hash(&key); }
};
struct FlowKeyEqual {
    bool operator()(const flow_key& a, const flow_key& b) const { return std::memcmp(&a, &b, sizeof a) == 0; }
};

/// The verdict on what a carrier of a packet has.
enum class Verdict {
    right,
    wrong,         ///< another tag; of a label also: not the bits of its flow
    missing,       ///< required; nothing of the marker's is there
    no_tag,        ///< the packet belongs to no live flow, and there is no catch-all
    no_valid_tag,  ///< the flow's tag is 0/0
    out_of_range,  ///< the carrier has no value for the flow's tag
    ended,  ///< a tag that the marker could have written, of a flow that the daemon does not know, or no longer knows
    kept    ///< a DSCP that an application may have chosen
};

enum class Carrier { label, hop_by_hop, destination_options, dscp };
[[nodiscard]] const char* name_of(Carrier carrier);

class Told {
  public:
    /// An interface that is marked.
    struct Hook {
        bool is_removed = false;
        std::string runs_before;  ///< the first program that runs before the marker's; empty: none
        std::uint64_t repairs = 0;
        std::uint64_t refused = 0;  ///< packets into which no header could be inserted, by the marker's counters
    };

    Told(const Host& host, const Options& options)
        : host_(host), daemon_(host), marks_(options), dscp_map_(options.dscp_map), replaces_dscp_(options.replace_dscp) {}

    /// Reads all flows and the state of the marker. If a value differs between two calls, packets may have either.
    Result<void> look();

    [[nodiscard]] const std::map<std::string, Hook>& hooks() const { return hooks_; }  ///< by interface, at the last look
    /// What the marker writes: by its strategy.
    [[nodiscard]] const std::vector<Carrier>& carriers() const { return carriers_; }
    [[nodiscard]] bool has(Carrier carrier) const;
    [[nodiscard]] bool observes() const { return observes_; }
    [[nodiscard]] bool keeps_explicit() const { return keeps_explicit_; }
    /// `value`: of an extension header experiment << 8 | activity; empty: there is none.
    [[nodiscard]] Verdict judge(const flow_key& key, Carrier carrier, std::optional<std::uint32_t> value) const;
    /// Whether the registry knows the tag in a label or an extension header.
    [[nodiscard]] bool is_registered(Carrier carrier, std::uint32_t value) const;
    /// The label that the marker gives to a flow without a tag of its own; empty: none.
    [[nodiscard]] std::optional<std::uint32_t> catch_all_label(const flow_key& key) const;

  private:
    struct Flow {
        std::vector<flowd_tag> tags;
        unsigned looks = 0;
    };
    Result<void> look_at_flows();
    Result<void> look_at_marker();
    [[nodiscard]] std::optional<std::uint32_t> value_of(flowd_tag tag, const flow_key& key, Carrier carrier) const;
    [[nodiscard]] bool could_be_ours(const flow_key& key, Carrier carrier, std::uint32_t value) const;

    const Host& host_;
    Daemon daemon_;
    Marks marks_;
    std::vector<DscpRule> dscp_map_;
    bool replaces_dscp_;
    unsigned looks_ = 0;
    std::unordered_map<flow_key, Flow, FlowKeyHash, FlowKeyEqual> flows_;
    Flow catch_all_;  // at the calls of look() that found one
    std::map<std::string, Hook> hooks_;
    std::vector<Carrier> carriers_{Carrier::label};
    bool observes_ = false;
    bool keeps_explicit_ = false;
};

}  // namespace flowd::marker
