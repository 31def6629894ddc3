// SPDX-License-Identifier: Apache-2.0
#include "lib/net/target.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace flowd::net {

Target::Target(std::string host, std::uint16_t port, std::unique_ptr<Lookup> lookup)
    : Target(std::move(host), port, std::move(lookup), Schedule{}, 1024) {}

Target::Target(std::string host, std::uint16_t port, std::unique_ptr<Lookup> lookup, Schedule schedule,
               std::size_t queue_limit)
    : host_(std::move(host)),
      port_(port),
      literal_(Address::parse(host_)),
      lookup_(std::move(lookup)),
      schedule_(schedule),
      sender_(queue_limit),
      trouble_("not resolved yet"),
      retry_(schedule.first_retry) {}

std::string Target::name() const {
    return literal_ ? Endpoint{*literal_, port_}.to_string() : host_ + ":" + std::to_string(port_);
}

Target::Clock::time_point Target::tick(Clock::time_point now, const Forbidden& forbidden) {
    if (lookup_->pending()) {
        if (auto answer = lookup_->poll()) {
            if (*answer)
                connect(**answer, now, forbidden);
            else
                lost(answer->error().message, now);
        }
    } else if (now >= due_) {
        if (literal_)
            connect({*literal_}, now, forbidden);
        else
            lookup_->begin(host_);
    }
    if (sender_.socket()) path_payload_ = sender_.socket()->path_payload();
    if (lookup_->pending()) return now + schedule_.poll;
    return due_;
}

void Target::connect(const std::vector<Address>& addresses, Clock::time_point now, const Forbidden& forbidden) {
    std::string why = "no usable address";
    // The present address is kept as long as it is among the answers: reconnecting would change the source port.
    const bool keep = endpoint_ && sender_.socket() &&
                      std::find(addresses.begin(), addresses.end(), endpoint_->address) != addresses.end();
    if (keep && !forbidden(*endpoint_)) return connected(now);
    for (const Address& address : addresses) {
        const Endpoint endpoint{address, port_};
        if (address.is_unspecified() || address.is_multicast()) {
            why = address.to_string() + " is no single host";
            continue;
        }
        if (forbidden(endpoint)) {
            why = endpoint.to_string() + " is where this daemon itself receives: that would be a loop";
            continue;
        }
        auto socket = UdpSocket::connected(endpoint);
        if (!socket) {
            why = socket.error().message;
            continue;
        }
        sender_.use(std::move(*socket));
        endpoint_ = endpoint;
        return connected(now);
    }
    // An address that has become one of our own must not be used any longer; one that fails may work again.
    if (endpoint_ && forbidden(*endpoint_)) {
        sender_.close();
        endpoint_.reset();
    }
    lost(std::move(why), now);
}

void Target::connected(Clock::time_point now) {
    trouble_.clear();
    retry_ = schedule_.first_retry;
    due_ = now + schedule_.again;
}

void Target::lost(std::string why, Clock::time_point now) {
    trouble_ = std::move(why);
    due_ = now + retry_;
    retry_ = std::min(retry_ * 2, schedule_.last_retry);
}

bool Target::flush(Clock::time_point now) {
    const bool done = sender_.flush();
    if (sender_.take_failure() != 0) due_ = std::min<Clock::time_point>(due_, now + schedule_.failed);
    return done;
}

}  // namespace flowd::net
