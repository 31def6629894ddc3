// SPDX-License-Identifier: Apache-2.0
#include "backends/firefly/stun_client.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

#include "flowd/event.hpp"
#include "lib/firefly/timestamp.hpp"

namespace flowd::firefly_backend {
namespace {

/// Datagrams that are read per wake-up, so that a flood does not delay fireflies.
constexpr int most_at_once = 16;

[[nodiscard]] bool is_public(const Address& address) {
    return !address.is_unspecified() && !address.is_multicast() && !address.is_loopback() && !address.is_link_local();
}

}  // namespace

void StunClient::use(std::vector<StunServer> servers) {
    if (servers == servers_) return;
    stop();
    lookup_.reset();  // the name of a pending lookup may not be in use any more
    servers_ = std::move(servers);
    const bool known = std::any_of(servers_.begin(), servers_.end(),
                                   [&](const StunServer& server) { return learnt_ && server.name() == learnt_->server; });
    if (!known) learnt_.reset();
    last_error_.clear();
    warned_ = false;
    retry_ = schedule_.first_retry;
    if (servers_.empty()) return;
    if (!counters_)
        counters_.emplace(host_, std::vector<Counters::Row>{
                                     {"asked", "firefly_stun_asked_total",
                                      "Queries of STUN servers for the public address.", &counts_.asked},
                                     {"answered", "firefly_stun_answered_total",
                                      "Queries that were answered with an address.", &counts_.answered},
                                     {"failed", "firefly_stun_failed_total", "Queries that failed.", &counts_.failed},
                                     {"ignored", "firefly_stun_ignored_total",
                                      "Datagrams that were not an answer of the STUN server.", &counts_.ignored},
                                 });
    begin_round();
}

void StunClient::stop() {
    timer_.reset();
    readable_.reset();
    socket_.reset();
}

void StunClient::wait(std::chrono::milliseconds delay, void (StunClient::*then)()) {
    auto timer = host_.after(delay, [this, then] { (this->*then)(); });
    if (timer)
        timer_ = std::move(*timer);
    else
        host_.report(Problem::from(timer.error()));
}

void StunClient::begin_round() {
    present_ = 0;
    last_error_.clear();
    ask();
}

void StunClient::ask() {
    if (present_ == servers_.size()) return all_failed();
    ++counts_.asked;
    const std::string& name = servers_[present_].host;
    if (const auto literal = Address::parse(name)) return connect({*literal});
    if (!lookup_) lookup_ = make_lookup_();
    lookup_->begin(name);
    poll_name();
}

void StunClient::poll_name() {
    const auto answer = lookup_->poll();
    if (!answer) return wait(schedule_.poll, &StunClient::poll_name);
    if (!*answer) return failed(answer->error().message);
    connect(**answer);
}

void StunClient::connect(const std::vector<Address>& addresses) {
    const auto usable = std::find_if(addresses.begin(), addresses.end(), [](const Address& address) {
        return address.is_v4() && !address.is_unspecified() && !address.is_multicast();
    });
    if (usable == addresses.end()) return failed("no IPv4 address");
    if (auto opened = open({*usable, servers_[present_].port}); !opened) return failed(opened.error().message);
    requests_ = 0;
    odd_.clear();
    transmit();
}

Result<void> StunClient::open(const Endpoint& server) {
    auto socket = net::UdpSocket::connected(server);
    if (!socket) return std::move(socket).error();
    const auto local = socket->local();
    if (!local) return local.error();
    const auto id = net::stun::random_id();
    if (!id) return id.error();
    auto readable = host_.watch(socket->fd(), FLOWD_IO_READ, [this](std::uint32_t) { receive(); });
    if (!readable) return std::move(readable).error();
    local_ = local->address;
    id_ = *id;
    socket_ = std::move(*socket);
    readable_ = std::move(*readable);
    return {};
}

void StunClient::transmit() {
    if (requests_ == schedule_.requests) return failed(odd_.empty() ? "no answer" : odd_);
    const auto request = net::stun::binding_request(id_);
    // A request that does not fit the socket buffer counts as lost on the path: the next one follows.
    if (::send(socket_->fd(), request.data(), request.size(), MSG_NOSIGNAL) < 0 && errno != EAGAIN && errno != ENOBUFS)
        return failed(std::strerror(errno));
    wait(schedule_.first_wait * (1u << requests_++), &StunClient::transmit);
}

void StunClient::receive() {
    std::array<std::byte, 1500> buffer{};
    for (int i = 0; i < most_at_once; ++i) {
        const ssize_t size = ::recv(socket_->fd(), buffer.data(), buffer.size(), MSG_TRUNC);
        if (size < 0) {
            if (errno != EAGAIN && errno != EINTR) failed(std::strerror(errno));
            return;
        }
        const auto length = static_cast<std::size_t>(size);
        const auto seen = length > buffer.size() ? Error{FLOWD_INVALID, "not an answer of a STUN server: it is too long"}
                                                 : net::stun::parse_binding_response(std::span(buffer).first(length), id_);
        if (seen) return answered(seen->address);
        if (seen.error().code == FLOWD_DENIED) return failed(seen.error().message);
        ++counts_.ignored;
        odd_ = seen.error().message;
    }
}

void StunClient::answered(const Address& global) {
    if (!global.is_v4() || !is_public(global))
        return failed("it answered " + global.to_string() + ", which is not a public address");
    stop();
    ++counts_.answered;
    const bool changed = !learnt_ || learnt_->local != local_ || learnt_->global != global;
    learnt_ = {local_, global, servers_[present_].name(), unix_time_ns()};
    retry_ = schedule_.first_retry;
    warned_ = false;
    wait(schedule_.again, &StunClient::begin_round);
    if (!changed) return;
    host_.info("the public address of " + local_.to_string() + " is " + global.to_string() + ", according to " +
               learnt_->server);
    changed_();
}

void StunClient::failed(const std::string& why) {
    stop();
    ++counts_.failed;
    last_error_ = servers_[present_].name() + ": " + why;
    ++present_;
    ask();
}

void StunClient::all_failed() {
    if (!std::exchange(warned_, true))
        host_.warning("no STUN server answers with the public address (" + last_error_ + "): fireflies show " +
                      (learnt_ ? "the one that was learnt earlier" : "local addresses"));
    wait(std::exchange(retry_, std::min(retry_ * 2, schedule_.last_retry)), &StunClient::begin_round);
}

void StunClient::status(json::Writer& object) const {
    if (servers_.empty()) return;
    object.key("stun").object();
    std::array<char, firefly::timestamp_length> buffer{};
    object.member("local", learnt_ ? learnt_->local.to_string() : "");
    object.member("public", learnt_ ? learnt_->global.to_string() : "");
    object.member("server", learnt_ ? learnt_->server : "");
    object.member("time", learnt_ ? firefly::print_timestamp(learnt_->time_ns, buffer) : "");
    counters_->status(object);
    object.member("lastError", last_error_);
    object.end();
}

}  // namespace flowd::firefly_backend
