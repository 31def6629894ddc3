// SPDX-License-Identifier: Apache-2.0
#include "lib/net/target.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "flowd/event.hpp"
#include "lib/net/zone.hpp"

namespace flowd::net {
namespace {

[[nodiscard]] std::string text_of(const Endpoint& endpoint, std::string_view zone) {
    std::string text = endpoint.to_string();
    if (!zone.empty()) text.insert(text.find(']'), "%" + std::string(zone));
    return text;
}

[[nodiscard]] Target::Trouble kind_of_refusal(int number) {
    if (number == ECONNREFUSED) return Target::Trouble::peer;
    return number == EHOSTUNREACH ? Target::Trouble::host : Target::Trouble::route;
}

}  // namespace

Target::Target(std::string host, std::uint16_t port, std::unique_ptr<Lookup> lookup)
    : Target(std::move(host), port, std::move(lookup), Schedule{}) {}

Target::Target(std::string host, std::uint16_t port, std::unique_ptr<Lookup> lookup, Schedule schedule,
               std::size_t queue_limit)
    : host_(std::move(host)),
      port_(port),
      name_(name_of(host_, port_)),
      literal_(Address::parse(host_)),
      zone_(zone_of(host_)),
      lookup_(std::move(lookup)),
      schedule_(schedule),
      sender_(queue_limit),
      trouble_("not resolved yet"),
      retry_(schedule.first_retry),
      trouble_since_ns_(unix_time_ns()) {}

std::string Target::name_of(const std::string& host, std::uint16_t port) {
    const auto literal = Address::parse(host);
    return literal ? text_of({*literal, port}, zone_of(host)) : host + ":" + std::to_string(port);
}

Target::State Target::state() const {
    if (!sender_.socket()) return State::resolving;
    return refused_ ? State::refused : State::sending;
}

Target::Clock::time_point Target::tick(Clock::time_point now, const Forbidden& forbidden) {
    if (lookup_->pending()) {
        if (auto answer = lookup_->poll()) {
            if (*answer)
                connect(**answer, now, forbidden);
            else
                unresolved(answer->error().message, now);
        }
    } else if (now >= due_) {
        if (probing_)
            judge_probe(now);
        else if (literal_)
            connect({*literal_}, now, forbidden);
        else
            lookup_->begin(host_);
    }
    if (sender_.socket()) path_payload_ = sender_.socket()->path_payload();
    if (lookup_->pending()) due_ = now + schedule_.poll;
    return due_;
}

/// The present address is used as long as it is among the answers, because reconnecting would change the source port. If it
/// refuses, the next one is tried first.
std::vector<Address> Target::in_order(const std::vector<Address>& addresses) const {
    std::vector<Address> order = addresses;
    const auto present = endpoint_ ? std::find(order.begin(), order.end(), endpoint_->address) : order.end();
    if (present != order.end()) std::rotate(order.begin(), present + (refused_ ? 1 : 0), order.end());
    return order;
}

void Target::connect(const std::vector<Address>& addresses, Clock::time_point now, const Forbidden& forbidden) {
    std::string why = "no usable address";
    Trouble kind = Trouble::name;
    const std::uint32_t interface = interface_of(zone_);
    for (const Address& address : in_order(addresses)) {
        const Endpoint endpoint{address, port_};
        if (std::string trouble = zone_trouble(address, zone_); !trouble.empty()) {
            why = std::move(trouble);
            if (!zone_.empty()) kind = Trouble::route;
            continue;
        }
        if (address.is_unspecified() || address.is_multicast()) {
            why = address.to_string() + " is not a unicast address";
            continue;
        }
        if (forbidden(endpoint)) {
            why = endpoint.to_string() + " is an address at which this daemon receives: sending to it would be a loop";
            continue;
        }
        if (endpoint_ == endpoint && interface_ == interface && sender_.socket()) return connected(now);
        auto socket = UdpSocket::connected(endpoint, interface);
        if (!socket) {
            why = socket.error().message;
            kind = Trouble::route;
            continue;
        }
        sender_.use(std::move(*socket));
        endpoint_ = endpoint;
        interface_ = interface;
        address_text_ = text_of(endpoint, zone_);
        return connected(now);
    }
    // An address that has become one of our own must not be used any more; one that failed may work again.
    if (endpoint_ && forbidden(*endpoint_)) {
        sender_.close();
        endpoint_.reset();
        address_text_.clear();
    }
    lost(std::move(why), kind, now);
}

void Target::connected(Clock::time_point now) {
    if (!refused_) {
        trouble_.clear();
        trouble_since_ns_ = 0;
        retry_ = schedule_.first_retry;
        due_ = now + schedule_.again;
        return;
    }
    probe(now);
}

/// While the resolver fails, the last address stays in use; if it refused, it is probed.
void Target::unresolved(std::string why, Clock::time_point now) {
    lost(std::move(why), refused_ ? kind_ : Trouble::name, now);
    if (refused_ && sender_.socket()) probe(now);
}

void Target::probe(Clock::time_point now) {
    (void)sender_.socket()->take_error();  // clears an earlier error
    probing_ = sender_.probe();
    const auto patience = kind_ == Trouble::host ? schedule_.host_probe : schedule_.probe;
    due_ = now + (probing_ ? patience : retry_);
}

void Target::judge_probe(Clock::time_point now) {
    probing_ = false;
    if (const int number = sender_.socket()->take_error(); number != 0) {
        sender_.note_refusal(number);
        return lost(sender_.last_error(), kind_of_refusal(number), now);
    }
    refused_ = false;
    sender_.release();
    connected(now);
}

void Target::lost(std::string why, Trouble kind, Clock::time_point now) {
    if (trouble_.empty()) trouble_since_ns_ = unix_time_ns();
    trouble_ = std::move(why);
    kind_ = kind;
    due_ = now + retry_;
    retry_ = std::min(retry_ * 2, schedule_.last_retry);
}

bool Target::flush(Clock::time_point now) {
    const auto failed = sender_.counts().failed;
    const bool done = sender_.flush();
    if (sender_.socket() && sender_.counts().failed != failed) path_payload_ = sender_.socket()->path_payload();
    if (sender_.refused() && !std::exchange(refused_, true))
        lost(sender_.last_error(), kind_of_refusal(sender_.last_refusal()), now);
    return done;
}

}  // namespace flowd::net
