// SPDX-License-Identifier: Apache-2.0
// GET /events: what happens to flows, one JSON object per line, to any number of clients up to a limit. [instance]
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <string_view>

#include "flowd/filter.hpp"
#include "flowd/module.hpp"
#include "lib/http/message.hpp"

namespace flowd::api {

struct EventsRequest {
    std::uint64_t position = 0;  ///< 0: new events only, unless `last` is set
    std::size_t last = 0;        ///< begin with so many of the kept events
    bool follow = true;          ///< continue with new events
    Filter filter;

    static constexpr std::size_t most = 10'000;
    /// "after=7&last=100&follow=no&filter=experiment%3Datlas"
    [[nodiscard]] static Result<EventsRequest> from(std::string_view query, const Registry& registry);
};

/// A client that reads too slowly is sent nothing until it has read what was sent: the events that are replaced meanwhile
/// are lost, and a line tells it how many.
class EventStreams {
  public:
    static constexpr std::size_t most = 32;
    static constexpr std::size_t most_pending = 256 * 1024;  ///< bytes that wait for one client
    static constexpr std::size_t events_per_turn = 2'000;    ///< of one client

    explicit EventStreams(Host& host) : host_(host), events_(host.events()) {}

    /// Answers the request: with a stream, or with the events that are kept. FLOWD_INVALID: the position is not one of this
    /// daemon. FLOWD_LIMIT: there are too many streams.
    [[nodiscard]] Result<std::optional<http::Response>> serve(EventsRequest request, http::Reply& reply);
    /// In stop(): ends all streams.
    void stop();

    [[nodiscard]] std::size_t open() const { return streams_.size(); }
    [[nodiscard]] std::uint64_t lost() const { return lost_; }

  private:
    struct Open {
        http::Stream stream;
        EventsRequest request;
        unsigned quiet_turns = 0;
    };
    /// Appends the lines of at most `limit` events.
    [[nodiscard]] Result<void> read(EventsRequest& request, std::size_t limit, std::string& out);
    void turn();

    Host& host_;
    FlowEvents events_;
    std::list<Open> streams_;
    Timer timer_;
    std::uint64_t lost_ = 0;
};

}  // namespace flowd::api
