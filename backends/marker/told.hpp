// SPDX-License-Identifier: Apache-2.0
// backends/marker/told.hpp: the labels that packets should have according to the running daemon, for tools. One thread.
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

/// The verdict on the label of a packet.
enum class Label {
    right,
    wrong,         ///< the bits of another tag, or not those of its flow
    missing,       ///< required; the present label is not one of the marker's
    no_tag,        ///< the packet belongs to no live flow, and there is no catch-all
    no_valid_tag,  ///< the flow's tag is 0/0
    out_of_range,  ///< no label can carry the flow's tag
    ended          ///< a registered tag with the right bits, of a flow that the daemon does not know, or no longer knows
};

class Told {
  public:
    /// An interface that is marked.
    struct Hook {
        bool is_removed = false;
        std::string runs_before;  ///< the first program that runs before the marker's; empty: none
        std::uint64_t repairs = 0;
    };

    Told(const Host& host, const Options& options) : host_(host), daemon_(host), marks_(options) {}

    /// Reads all flows and the state of the marker. If a value differs between two calls, packets may have either.
    Result<void> look();

    [[nodiscard]] const std::map<std::string, Hook>& hooks() const { return hooks_; }  ///< by interface, at the last look
    [[nodiscard]] bool writes_labels() const { return writes_labels_; }
    [[nodiscard]] bool keeps_explicit() const { return keeps_explicit_; }
    [[nodiscard]] Label judge(const flow_key& key, std::uint32_t label) const;
    /// Whether the registry knows the tag in a label.
    [[nodiscard]] bool is_registered(std::uint32_t label) const;
    /// The label that the marker gives to a flow without a tag of its own; empty: none.
    [[nodiscard]] std::optional<std::uint32_t> catch_all_label(const flow_key& key) const;

  private:
    struct Flow {
        std::vector<flowd_tag> tags;
        unsigned looks = 0;
    };
    Result<void> look_at_flows();
    Result<void> look_at_marker();
    [[nodiscard]] std::optional<std::uint32_t> label_of(flowd_tag tag, const flow_key& key) const;

    const Host& host_;
    Daemon daemon_;
    Marks marks_;
    unsigned looks_ = 0;
    std::unordered_map<flow_key, Flow, FlowKeyHash, FlowKeyEqual> flows_;
    Flow catch_all_;  // at the calls of look() that found one
    std::map<std::string, Hook> hooks_;
    bool writes_labels_ = true;
    bool keeps_explicit_ = false;
};

}  // namespace flowd::marker
