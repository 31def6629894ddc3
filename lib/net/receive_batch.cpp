// SPDX-License-Identifier: Apache-2.0
#include "lib/net/receive_batch.hpp"

#include <cerrno>
#include <cstring>

namespace flowd::net {

ReceiveBatch::ReceiveBatch(std::size_t capacity, std::size_t size)
    : size_(size),
      bytes_(new char[capacity * size]),
      pieces_(capacity),
      peers_(capacity),
      controls_(capacity),
      headers_(capacity),
      datagrams_(capacity),
      used_(capacity) {
    for (std::size_t i = 0; i < capacity; ++i) {
        pieces_[i] = {bytes_.get() + i * size_, size_};
        headers_[i].msg_hdr.msg_name = &peers_[i];
        headers_[i].msg_hdr.msg_iov = &pieces_[i];
        headers_[i].msg_hdr.msg_iovlen = 1;
        headers_[i].msg_hdr.msg_control = &controls_[i];
    }
}

Result<std::span<const Datagram>> ReceiveBatch::receive(int fd) {
    for (std::size_t i = 0; i < used_; ++i) {
        headers_[i].msg_hdr.msg_namelen = sizeof peers_[i];
        headers_[i].msg_hdr.msg_controllen = sizeof controls_[i];
    }
    used_ = 0;
    drops_.reset();
    int count = 0;
    do {
        count = ::recvmmsg(fd, headers_.data(), static_cast<unsigned>(headers_.size()), MSG_DONTWAIT, nullptr);
    } while (count < 0 && errno == EINTR);
    if (count < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK) return std::span<const Datagram>();
        return Error::from_errno(errno, "receiving");
    }
    used_ = static_cast<std::size_t>(count);
    for (std::size_t i = 0; i < used_; ++i) {
        datagrams_[i].payload = {bytes_.get() + i * size_, headers_[i].msg_len};
        datagrams_[i].peer = Endpoint::from(peers_[i]).value_or(Endpoint{});
        datagrams_[i].truncated = (headers_[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
    }
    if (used_ > 0) note_drops(headers_[used_ - 1].msg_hdr);  // a running total: the last one is enough
    return std::span<const Datagram>(datagrams_.data(), used_);
}

void ReceiveBatch::note_drops(msghdr& header) {
    for (cmsghdr* one = CMSG_FIRSTHDR(&header); one != nullptr; one = CMSG_NXTHDR(&header, one)) {
        if (one->cmsg_level != SOL_SOCKET || one->cmsg_type != SO_RXQ_OVFL) continue;
        std::uint32_t total = 0;
        std::memcpy(&total, CMSG_DATA(one), sizeof total);
        drops_ = total;
    }
}

}  // namespace flowd::net
