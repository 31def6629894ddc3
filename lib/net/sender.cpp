// SPDX-License-Identifier: Apache-2.0
#include "lib/net/sender.hpp"

#include <netinet/udp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
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

/// What fits the least MTU of IPv6, 1280 bytes: datagrams that are merged must not need fragments.
constexpr std::size_t longest_merged = 1232;
/// Of one message, below the 65,507 of UDP over IPv4.
constexpr std::size_t most_bytes = 65'000;

[[nodiscard]] bool same_peer(const sockaddr_storage& a, socklen_t a_length, const sockaddr_storage& b, socklen_t b_length) {
    return a_length == b_length && std::memcmp(&a, &b, a_length) == 0;
}

/// The control message UDP_SEGMENT.
struct alignas(cmsghdr) Segment {
    std::array<std::byte, CMSG_SPACE(sizeof(std::uint16_t))> bytes;

    void attach_to(msghdr& header, std::size_t datagram) {
        header.msg_control = &bytes;
        header.msg_controllen = sizeof bytes;
        cmsghdr* const control = CMSG_FIRSTHDR(&header);
        control->cmsg_level = SOL_UDP;
        control->cmsg_type = UDP_SEGMENT;
        const auto size = static_cast<std::uint16_t>(datagram);
        control->cmsg_len = CMSG_LEN(sizeof size);
        std::memcpy(CMSG_DATA(control), &size, sizeof size);
    }
};

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

std::size_t Sender::train(std::size_t first, std::size_t most) {
    const Item& head = at(first);
    const std::size_t size = head.payload.size();
    if (!merging_ || size == 0 || size > longest_merged) return 1;
    std::size_t count = 1;
    for (bool is_last = false; count < most && !is_last && (count + 1) * size <= most_bytes; ++count) {
        const Item& next = at(first + count);
        if (next.payload.empty() || next.payload.size() > size ||
            !same_peer(head.to, head.to_length, next.to, next.to_length))
            break;
        is_last = next.payload.size() < size;
    }
    return count;
}

/// How many the kernel accepted; 0 with errno.
std::size_t Sender::send_some(std::size_t wanted) {
    std::array<mmsghdr, batch> headers;
    std::array<iovec, batch> pieces;
    std::array<Segment, batch> segments;
    unsigned messages = 0;
    for (std::size_t i = 0; i < wanted; ++messages) {
        msghdr& header = (headers[messages] = {}).msg_hdr;
        const std::size_t count = train(i, wanted - i);
        Item& item = at(i);
        if (count > 1) segments[messages].attach_to(header, item.payload.size());
        header.msg_name = item.to_length == 0 ? nullptr : &item.to;
        header.msg_namelen = item.to_length;
        header.msg_iov = &pieces[i];
        header.msg_iovlen = count;
        for (const std::size_t end = i + count; i < end; ++i) pieces[i] = {at(i).payload.data(), at(i).payload.size()};
    }
    merged_ = headers[0].msg_hdr.msg_iovlen > 1;
    int sent = 0;
    do {
        sent = ::sendmmsg(socket_->fd(), headers.data(), messages, MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    if (sent <= 0) return 0;
    std::size_t datagrams = 0;
    for (std::size_t i = 0; i < static_cast<std::size_t>(sent); ++i) datagrams += headers[i].msg_hdr.msg_iovlen;
    counts_.sent += datagrams;
    pop(datagrams);
    return datagrams;
}

bool Sender::flush() {
    bool too_long = false;
    merging_ = merges_ && count_ >= least_merged;
    while (count_ > 0 && socket_ && !refused_) {
        const bool connected = at(0).to_length == 0;
        const std::size_t wanted = std::min(count_, batch);
        const std::size_t sent = send_some(wanted);
        if (sent > 0) {
            too_long = false;
            // sendmmsg(2) does not report why it stopped. The ICMP error of an earlier datagram is reported only once, and
            // only the error queue still has it; for other reasons, the next call has the error.
            const int number = connected && sent < wanted ? socket_->take_queued_error() : 0;
            if (number != 0 && concerns_peer(number)) {
                note_refusal(number);
                refused_ = true;
            }
            continue;
        }
        int number = errno;
        // For a datagram that is too long, the kernel does not look at the error of an earlier one.
        if (const int queued = connected ? socket_->take_queued_error() : 0; queued != 0 && concerns_peer(queued))
            number = queued;
        if (number == EAGAIN || number == EWOULDBLOCK) return false;
        // Perhaps the kernel refuses only what is merged, or has room only for less; one by one, the error has its usual
        // meaning.
        const bool refuses_merged = number == EINVAL || number == EIO || number == EMSGSIZE;
        if (merged_ && (refuses_merged || number == ENOBUFS || number == ENOMEM)) {
            merging_ = false;
            merges_ = !refuses_merged;
            continue;
        }
        // A connected socket reports the error of an earlier datagram: this one was not sent and stays queued. The earlier
        // one may also have exceeded the path MTU that was discovered since; then this one is tried again.
        refused_ = connected && concerns_peer(number);
        if (refused_) {
            note_refusal(number);
            continue;
        }
        if (connected && number == EMSGSIZE && !std::exchange(too_long, true)) continue;
        fail_first(number);
    }
    return true;
}

bool Sender::probe() {
    while (count_ > 0 && socket_) {
        if (send_some(1) > 0) return true;
        if (errno != EMSGSIZE) {
            note_refusal(errno);
            return false;
        }
        fail_first(errno);  // it would fail each probe
    }
    return false;
}

void Sender::fail_first(int number) {
    ++counts_.failed;
    last_error_ = std::strerror(number);
    pop(1);
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
