// SPDX-License-Identifier: Apache-2.0
// A STUN server on 127.0.0.1 that answers when, and what, the test says.
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lib/net/stun.hpp"
#include "tests/unit/net/loopback.hpp"

namespace flowd::net {

class StunServer {
  public:
    struct Answer {
        std::byte id_error{};  ///< combined with the first byte of the transaction id
        unsigned type = 0x0101;
    };

    [[nodiscard]] std::string name() const { return receiver_.endpoint().to_string(); }
    /// So many have come in all.
    std::size_t requests() {
        while (take(0)) {
        }
        return requests_;
    }
    /// Waits for so many; false when there are fewer or more.
    bool wait_for(std::size_t count) {
        while (requests_ < count && take(10'000)) {
        }
        return requests() == count;
    }
    /// Of different transactions, of those that have come.
    [[nodiscard]] std::size_t transactions() const { return ids_.size(); }
    /// Answers the last request, waits for one if none has come yet: this is the public address. False: nobody asked.
    bool answer(const char* address) { return answer(address, Answer()); }
    bool answer(const char* address, const Answer& how) {
        if (requests() == 0 && !take(10'000)) return false;
        std::vector<std::byte> datagram = last_;
        datagram[0] = static_cast<std::byte>(how.type >> 8);
        datagram[1] = static_cast<std::byte>(how.type & 0xff);
        datagram[3] = std::byte{12};
        datagram[8] ^= how.id_error;
        for (const unsigned byte : {0x00u, 0x01u, 0u, 8u, 0u, 1u, 0x12u, 0x34u})
            datagram.push_back(static_cast<std::byte>(byte));
        const Address::Bytes bytes = Address::parse(address).value().bytes();
        std::for_each(bytes.begin() + 12, bytes.end(), [&](std::uint8_t byte) { datagram.push_back(std::byte{byte}); });
        return send(datagram);
    }
    /// To the last who asked.
    bool send(const std::vector<std::byte>& datagram) {
        sockaddr_storage to{};
        const socklen_t length = client_->to(to);
        return ::sendto(receiver_.socket().fd(), datagram.data(), datagram.size(), 0,
                        reinterpret_cast<const sockaddr*>(&to), length) == static_cast<ssize_t>(datagram.size());
    }

  private:
    bool take(int milliseconds) {
        pollfd wanted{receiver_.socket().fd(), POLLIN, 0};
        if (::poll(&wanted, 1, milliseconds) <= 0) return false;
        sockaddr_storage from{};
        socklen_t length = sizeof from;
        last_.resize(1500);
        const ssize_t size =
            ::recvfrom(receiver_.socket().fd(), last_.data(), last_.size(), 0, reinterpret_cast<sockaddr*>(&from), &length);
        if (size != static_cast<ssize_t>(stun::header_size)) return false;
        last_.resize(stun::header_size);
        client_ = Endpoint::from(from);
        ids_.insert(std::vector<std::byte>(last_.begin() + 8, last_.end()));
        ++requests_;
        return true;
    }

    Loopback receiver_{"127.0.0.1"};
    std::size_t requests_ = 0;
    std::optional<Endpoint> client_;
    std::vector<std::byte> last_;
    std::set<std::vector<std::byte>> ids_;
};

}  // namespace flowd::net
