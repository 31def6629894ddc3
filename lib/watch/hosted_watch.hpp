// SPDX-License-Identifier: Apache-2.0
// lib/watch/hosted_watch.hpp: a SocketWatch in an instance of a plugin. It writes tags into the map of the marker,
// while there is a marker. Belongs to the instance's thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "flowd/module.hpp"
#include "lib/watch/socket_watch.hpp"

namespace flowd::watch {

/// The marker offers its map of tags through flowd.shared/1. It may be offered later than this instance starts, or be
/// replaced: the program is then reloaded with the new map. An event at that time may be reported twice, with the same
/// cookie.
class HostedWatch {
  public:
    HostedWatch(Host& host, SocketWatch::Visitor visitor) : host_(host), visitor_(std::move(visitor)) {}

    /// In prepare(). `cgroup` as configured.
    Result<void> load(const std::string& cgroup, const std::string& program_path);
    /// In start(), after the first rules.
    Result<void> start();
    void stop();
    void consume();
    /// While the bus is full, nothing is read; events stay in the ring buffer.
    void pause(bool paused);

    Result<void> set_rules(std::vector<watch_rule> rules);
    Result<void> set_tags(std::vector<flowd_tag> tags, bool random);

    [[nodiscard]] bool running() const { return watch_.has_value(); }
    /// Events that were lost because the ring buffer was full, since the last call.
    [[nodiscard]] std::uint64_t lost();
    void status(json::Writer& object) const;

  private:
    [[nodiscard]] Result<SocketWatch> make(UniqueFd socket_tags);
    Result<void> fill(SocketWatch& watch) const;
    [[nodiscard]] Result<void> announce() const;
    Result<void> take_up(SocketWatch watch);
    /// Whether another map is offered now.
    void renew();

    Host& host_;
    SocketWatch::Visitor visitor_;
    std::string cgroup_, program_path_;
    std::vector<watch_rule> rules_;
    std::vector<flowd_tag> tags_;
    bool random_ = false, started_ = false, paused_ = false;
    std::optional<std::uint64_t> marker_;  ///< generation of the map that tags are written into
    std::uint64_t lost_ = 0;
    std::string last_error_;
    std::optional<SocketWatch> watch_;
    Watch readable_;  // declared after the watch: destroyed before its descriptor is closed
    Subscription offers_;
    Timer retry_;  // of renew()
};

}  // namespace flowd::watch
