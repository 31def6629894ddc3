// SPDX-License-Identifier: Apache-2.0
#include "lib/net/sender.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace flowd::net {

namespace {

/// Whether the error concerns the peer or the path to it, not this datagram: the next one would fail as well. Reasons are a
/// missing route, a blackhole route (EINVAL), a firewall, a removed interface, and more; therefore the exceptions are
/// listed.
[[nodiscard]] bool concerns_peer(int number) {
    return number != EMSGSIZE && number != ENOBUFS && number != ENOMEM;
}

}  // namespace

bool Sender::push(std::string_view payload, const std::optional<Endpoint>& to, std::uint32_t interface) {
    if (count_ >= batch || count_ == limit_) flush();
    if (count_ == limit_) {
        ++counts_.dropped;
        return false;
    }
    if (count_ == ring_.size()) grow();
    ++count_;
    Item& item = at(count_ - 1);
    item.payload.assign(payload);
    item.to_length = to ? to->to(item.to) : 0;
    if (interface != 0) reinterpret_cast<sockaddr_in6&>(item.to).sin6_scope_id = interface;
    return true;
}

/// How many the kernel accepted; 0 with errno.
std::size_t Sender::send_some(std::size_t wanted) {
    std::array<mmsghdr, batch> headers;
    std::array<iovec, batch> pieces;
    for (std::size_t i = 0; i < wanted; ++i) {
        Item& item = at(i);
        pieces[i] = {item.payload.data(), item.payload.size()};
        headers[i] = {};
        headers[i].msg_hdr.msg_iov = &pieces[i];
        headers[i].msg_hdr.msg_iovlen = 1;
        headers[i].msg_hdr.msg_name = item.to_length == 0 ? nullptr : &item.to;
        headers[i].msg_hdr.msg_namelen = item.to_length;
    }
    int sent = 0;
    do {
        sent = ::sendmmsg(socket_->fd(), headers.data(), static_cast<unsigned>(wanted), MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    if (sent <= 0) return 0;
    counts_.sent += static_cast<std::uint64_t>(sent);
    pop(static_cast<std::size_t>(sent));
    return static_cast<std::size_t>(sent);
}

bool Sender::flush() {
    bool cut_short = false, too_long = false;
    while (count_ > 0 && socket_ && !refused_) {
        const bool connected = at(0).to_length == 0;
        const std::size_t wanted = std::min(count_, batch);
        const std::size_t sent = send_some(wanted);
        if (sent > 0) {
            too_long = false;
            // sendmmsg(2) does not report why it stopped. If the next call works, it was the ICMP error of an earlier
            // datagram.
            if (std::exchange(cut_short, sent < wanted)) {
                note_refusal(ECONNREFUSED);
                refused_ = connected;
            }
            continue;
        }
        const int number = errno;
        if (connected) socket_->discard_errors();
        if (number == EAGAIN || number == EWOULDBLOCK) return false;
        cut_short = false;
        // A connected socket reports the error of an earlier datagram: this one was not sent and stays queued. The earlier
        // one may also have exceeded the path MTU that was discovered since; then this one is tried again.
        refused_ = connected && concerns_peer(number);
        if (refused_) {
            note_refusal(number);
            continue;
        }
        if (connected && number == EMSGSIZE && !std::exchange(too_long, true)) continue;
        ++counts_.failed;
        last_error_ = std::strerror(number);
        pop(1);
    }
    return true;
}

bool Sender::probe() {
    if (count_ == 0 || !socket_) return false;
    if (send_some(1) > 0) return true;
    note_refusal(errno);
    return false;
}

void Sender::discard() {
    counts_.dropped += count_;
    pop(count_);
}

void Sender::pop(std::size_t count) {
    count_ -= count;
    first_ = count_ == 0 ? 0 : (first_ + count) % ring_.size();  // an empty queue begins at the front: warm memory
}

void Sender::grow() {
    std::rotate(ring_.begin(), ring_.begin() + static_cast<std::ptrdiff_t>(first_), ring_.end());
    first_ = 0;
    ring_.resize(std::min(limit_, std::max<std::size_t>(batch, ring_.size() * 2)));
}

void Sender::note_refusal(int number) {
    ++counts_.refused;
    last_refusal_ = number;
    last_error_ = std::strerror(number);
}

}  // namespace flowd::net
