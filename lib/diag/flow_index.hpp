// SPDX-License-Identifier: Apache-2.0
// lib/diag/flow_index.hpp: finds the flow that a socket belongs to. Not bound to a thread, not thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "flowd/event.hpp"
#include "lib/bpf/flow_key.hpp"

namespace flowd::diag {

/// A socket that a source of samples found in a period.
struct SocketView {
    flowd_key key;  ///< scope 0, the local end as the source
    std::uint64_t cookie = 0;
};

/// Matches sockets to the live flows of a sampling period, by tuple and then by cookie, and keeps the socket of each flow
/// from period to period. Use: begin(), add() for each batch, claim() for each socket, finish().
///
/// The rules:
///  - a flow is a tuple in either direction, of the daemon's own network namespace;
///  - of a connection within this host, the socket whose local end is the flow's source belongs to the flow;
///  - the first socket that was claimed for a flow remains its socket. Another one with the same tuple is another
///  connection
///    (the ports were reused) and does not belong to it;
///  - a flow whose socket was missing for `gone_after` has ended.
class FlowIndex {
  public:
    using Clock = std::chrono::steady_clock;

    explicit FlowIndex(std::chrono::nanoseconds gone_after) : gone_after_(gone_after) {}

    void begin();
    void add(const FlowBatch& flows);

    struct Claim {
        std::uint64_t flow_id = 0;
        bool reversed = false;  ///< the socket's local end is the flow's destination

        /// Converts the usage of the socket, seen from its local end, to that of the flow.
        void give_usage(const flowd_usage& of_socket, flowd_sample& sample) const;
    };
    /// The flow that this socket belongs to, at most once per flow and period.
    [[nodiscard]] std::optional<Claim> claim(const SocketView& socket);

    /// Ends the period: calls `gone` for each flow whose socket has been missing for long enough. `complete`: the list of
    /// sockets has no gaps, so that a socket that is not in it is missing.
    void finish(bool complete, Clock::time_point now, const std::function<void(std::uint64_t flow_id)>& gone);

    /// Live flows of this period.
    [[nodiscard]] std::size_t flows() const { return live_; }
    /// Flows that had a socket when the last period ended.
    [[nodiscard]] std::size_t matched() const { return matched_; }
    /// The member `summary` of an enricher's status.
    [[nodiscard]] std::string summary() const;
    /// Sockets of this period whose tuple is a flow's, but which are another connection.
    [[nodiscard]] std::size_t other_connections() const { return other_connections_; }

  private:
    using Period = std::uint32_t;
    /// One cache line, because the sockets of a period find their flows in a random order.
    struct alignas(64) Flow {
        flow_key key{};
        std::uint64_t id = 0;
        std::uint64_t cookie = 0;  ///< of its socket
        Period seen = 0;           ///< the last period in which its socket was; 0: it has none
        bool live = false;         ///< in this period
        bool source_is_low = false;
        bool inside = false;  ///< both ends are addresses of this host
    };
    struct Slot {
        std::uint32_t hash = 0;  ///< the upper half
        std::uint32_t flow = 0;  ///< its place plus 1; 0: the slot is free
    };

    [[nodiscard]] Flow* find(const flow_key& key);
    Flow& find_or_add(const flow_key& key);
    void put(std::size_t place);
    void fill_slots();

    std::chrono::nanoseconds gone_after_;
    std::vector<Address> own_;  ///< addresses of this host
    // Kept from period to period, because most flows live for many. A table of its own: with nodes in random places, as
    // those of unordered_map, the look-ups took as long as the kernel's dump.
    std::vector<Flow> flows_;  ///< in the order in which they were first added, which is mostly that of each period
    std::vector<Slot> slots_;  ///< hash table with linear probing: a power of two, at most half full
    std::size_t next_ = 0;     ///< place of the flow that is expected next in add()
    std::unordered_map<std::uint64_t, Clock::time_point>
        missing_;  ///< by flow id: the end of the first period without socket
    Period period_ = 0;
    std::size_t live_ = 0, matched_ = 0, other_connections_ = 0;
};

}  // namespace flowd::diag
