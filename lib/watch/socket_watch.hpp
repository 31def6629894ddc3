// SPDX-License-Identifier: Apache-2.0
// lib/watch/socket_watch.hpp: reports TCP connections as they open and close, and tags their sockets before they send.
// Belongs to one thread, whose network namespace is the one that is watched. Needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "bpf/watch_types.h"
#include "flowd/event.hpp"
#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"
#include "lib/bpf/object.hpp"
#include "lib/bpf/ring.hpp"

namespace flowd::watch {

/// An event of the BPF program in types of the SDK.
struct SocketEvent {
    bool opened = false;  ///< otherwise closed
    bool incoming = false;
    bool decided = false;  ///< the BPF program tagged it; otherwise a rule has conditions that it cannot check
    bool fin_received = false;
    std::uint64_t cookie = 0;
    std::int64_t time_ns = 0;  ///< CLOCK_MONOTONIC
    Endpoint local, remote;
    std::uint32_t user = 0;
    std::uint64_t cgroup = 0;
    std::uint32_t interface = 0;
    flowd_tag tag{};
    flowd_usage usage{};  ///< closed: payload, exact

    [[nodiscard]] flowd_key key() const { return make_key(local, remote, 6); }
};

struct WatchConfig {
    std::string cgroup;        ///< result of find_cgroup
    std::string program_path;  ///< a BPF object that replaces the built-in one; may be empty
    std::uint32_t ring_bytes = 4u << 20;
    UniqueFd socket_tags;                            ///< the marker's map, from flowd.shared/1; optional
    const class SocketWatch* predecessor = nullptr;  ///< its sockets are taken over
    bpf::LogSink log;
};

class SocketWatch {
  public:
    using Visitor = std::function<void(const SocketEvent&)>;

    /// Loads the program; nothing is attached yet.
    [[nodiscard]] static Result<SocketWatch> load(const WatchConfig& config, Visitor visitor);

    /// Takes effect at once. At most WATCH_MAX_RULES.
    Result<void> set_rules(std::span<const watch_rule> rules);
    /// For rules with the verdict WATCH_NEXT. At most WATCH_MAX_TAGS. Before attach().
    Result<void> set_tags(std::span<const flowd_tag> tags, bool random);
    Result<void> attach();

    [[nodiscard]] int fd() const { return ring_.fd(); }
    void consume() { ring_.drain(); }

    [[nodiscard]] std::uint64_t count(std::uint32_t which) const;

  private:
    SocketWatch(bpf::Object object, bpf::Ring ring, UniqueFd cgroup);
    Result<void> write_settings();

    bpf::Object object_;
    bpf::Ring ring_;  // declared after the object: destroyed before its maps
    UniqueFd cgroup_, link_;
    watch_settings settings_{};
};

/// A rule that matches everything and has no verdict.
[[nodiscard]] watch_rule any_connection();
/// Fills network and mask.
void put_network(const Network& network, __u64 (&words)[2], __u64 (&mask)[2]);

}  // namespace flowd::watch
