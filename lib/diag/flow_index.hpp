// SPDX-License-Identifier: Apache-2.0
// lib/diag/flow_index.hpp: finds the flow that a socket belongs to. Not bound to a thread, not thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
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

    [[nodiscard]] std::size_t flows() const { return flows_.size(); }
    /// Flows that have a socket.
    [[nodiscard]] std::size_t matched() const { return sockets_.size(); }
    /// The member `summary` of an enricher's status.
    [[nodiscard]] std::string summary() const;
    /// Sockets of this period whose tuple is a flow's, but which are another connection.
    [[nodiscard]] std::size_t other_connections() const { return other_connections_; }

  private:
    struct Hash {
        std::size_t operator()(const flow_key& key) const { return static_cast<std::size_t>(flow_hash(&key)); }
    };
    struct Equal {
        bool operator()(const flow_key& a, const flow_key& b) const { return std::memcmp(&a, &b, sizeof a) == 0; }
    };
    struct Entry {
        std::uint64_t flow_id;
        Endpoint source;
        bool inside;   ///< both ends are addresses of this host
        bool claimed;  ///< in this period
    };
    struct Socket {
        std::uint64_t cookie = 0;
        std::uint64_t period = 0;         ///< the last one in which it was seen
        Clock::time_point missing_since;  ///< the end of the first period in which it was not; zero: it is not missing
        bool live = true;                 ///< its flow is one of this period
    };

    std::chrono::nanoseconds gone_after_;
    std::vector<Address> own_;  ///< addresses of this host
    std::unordered_map<flow_key, Entry, Hash, Equal> flows_;
    std::unordered_map<std::uint64_t, Socket> sockets_;  ///< by flow id
    std::uint64_t period_ = 0;
    std::size_t other_connections_ = 0;
};

}  // namespace flowd::diag
