// SPDX-License-Identifier: Apache-2.0
// lib/net/receive_batch.hpp: receives many datagrams with one system call. Belongs to one thread.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "flowd/address.hpp"
#include "flowd/result.hpp"

namespace flowd::net {

struct Datagram {
    std::string_view payload;
    Endpoint peer;
    bool truncated = false;  ///< it was longer than the buffer
};

class ReceiveBatch {
  public:
    /// `capacity` datagrams of at most `size` bytes each.
    ReceiveBatch(std::size_t capacity, std::size_t size);

    /// The datagrams that have arrived, in order. Valid until the next call.
    [[nodiscard]] Result<std::span<const Datagram>> receive(int fd);
    [[nodiscard]] std::size_t capacity() const { return headers_.size(); }
    /// The number of datagrams that the socket had dropped when the last of these was queued (SO_RXQ_OVFL, which UdpSocket
    /// sets when it binds); empty if none was dropped. Wraps at 2^32.
    [[nodiscard]] std::optional<std::uint32_t> drops() const { return drops_; }

  private:
    /// One SO_RXQ_OVFL.
    struct alignas(cmsghdr) Control {
        std::array<std::byte, CMSG_SPACE(sizeof(std::uint32_t))> bytes;
    };
    void note_drops(msghdr& header);

    std::size_t size_;
    std::unique_ptr<char[]> bytes_;  ///< not cleared: memory that no datagram has reached is not resident
    std::vector<iovec> pieces_;
    std::vector<sockaddr_storage> peers_;
    std::vector<Control> controls_;
    std::vector<mmsghdr> headers_;
    std::vector<Datagram> datagrams_;
    std::size_t used_ = 0;  ///< headers that the kernel has written to
    std::optional<std::uint32_t> drops_;
};

}  // namespace flowd::net
