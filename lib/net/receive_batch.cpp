// SPDX-License-Identifier: Apache-2.0
#include "lib/net/receive_batch.hpp"

namespace flowd::net {

ReceiveBatch::ReceiveBatch(std::size_t capacity, std::size_t size)
    : size_(size), bytes_(capacity * size), pieces_(capacity), peers_(capacity), headers_(capacity), datagrams_(capacity) {}

Result<std::span<const Datagram>> ReceiveBatch::receive(int fd) {
    for (std::size_t i = 0; i < headers_.size(); ++i) {
        pieces_[i] = {bytes_.data() + i * size_, size_};
        headers_[i] = {};
        headers_[i].msg_hdr.msg_name = &peers_[i];
        headers_[i].msg_hdr.msg_namelen = sizeof peers_[i];
        headers_[i].msg_hdr.msg_iov = &pieces_[i];
        headers_[i].msg_hdr.msg_iovlen = 1;
    }
    int count = 0;
    do {
        count = ::recvmmsg(fd, headers_.data(), static_cast<unsigned>(headers_.size()), MSG_DONTWAIT, nullptr);
    } while (count < 0 && errno == EINTR);
    if (count < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK) return std::span<const Datagram>();
        return Error::from_errno(errno, "receiving");
    }
    const auto received = static_cast<std::size_t>(count);
    for (std::size_t i = 0; i < received; ++i) {
        datagrams_[i].payload = {bytes_.data() + i * size_, headers_[i].msg_len};
        datagrams_[i].peer = Endpoint::from(peers_[i]).value_or(Endpoint{});
        datagrams_[i].truncated = (headers_[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
    }
    return std::span<const Datagram>(datagrams_.data(), received);
}

}  // namespace flowd::net
