// SPDX-License-Identifier: Apache-2.0
#include "lib/net/sender.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace flowd::net {

bool Sender::push(std::string_view payload, const std::optional<Endpoint>& to) {
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
    return true;
}

bool Sender::flush() {
    bool cut_short = false, refused = false;
    while (count_ > 0 && socket_) {
        std::array<mmsghdr, batch> headers{};
        std::array<iovec, batch> pieces{};
        const std::size_t wanted = std::min(count_, batch);
        for (std::size_t i = 0; i < wanted; ++i) {
            Item& item = at(i);
            pieces[i] = {item.payload.data(), item.payload.size()};
            headers[i].msg_hdr.msg_iov = &pieces[i];
            headers[i].msg_hdr.msg_iovlen = 1;
            headers[i].msg_hdr.msg_name = item.to_length == 0 ? nullptr : &item.to;
            headers[i].msg_hdr.msg_namelen = item.to_length;
        }
        const int sent = ::sendmmsg(socket_->fd(), headers.data(), static_cast<unsigned>(wanted), MSG_DONTWAIT);
        if (sent > 0) {
            // sendmmsg(2) forgets why it stopped. When the next call works, it was the ICMP error of an earlier datagram.
            if (std::exchange(cut_short, static_cast<std::size_t>(sent) < wanted)) fail(ECONNREFUSED);
            refused = false;
            counts_.sent += static_cast<std::uint64_t>(sent);
            pop(static_cast<std::size_t>(sent));
            continue;
        }
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
        const int number = errno;
        cut_short = false;
        fail(number);
        // A connected socket reports the ICMP error of an earlier datagram: this one has not been tried yet.
        if (number != ECONNREFUSED || std::exchange(refused, true)) pop(1);
    }
    return true;
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

void Sender::fail(int number) {
    ++counts_.failed;
    failure_ = number;
    last_error_ = std::strerror(number);
}

}  // namespace flowd::net
