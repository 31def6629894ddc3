// SPDX-License-Identifier: Apache-2.0
// Any firefly that may be printed, from a seed.
#pragma once

#include <array>
#include <random>
#include <string>

#include "flowd/address.hpp"
#include "lib/firefly/firefly.hpp"

namespace flowd::firefly {

class RandomFireflies {
  public:
    explicit RandomFireflies(std::uint64_t seed) : random_(seed) {}

    /// Borrows from this object until the next call.
    const Firefly& next() {
        firefly_ = Firefly{};
        firefly_.state = std::array{State::start, State::ongoing, State::end}[below(3)];
        const bool v4 = below(3) == 0;
        firefly_.key = make_key({address(v4), port()}, {address(v4), port()}, below(2) ? IPPROTO_TCP : IPPROTO_UDP);
        firefly_.tag = {below(20) ? below(512) : static_cast<std::uint32_t>(random_()), below(64)};
        firefly_.start_time_ns = time();
        firefly_.current_time_ns = time();
        if (firefly_.state == State::end) firefly_.end_time_ns = time();
        if ((firefly_.has_usage = below(2) == 1)) {
            firefly_.received = random_() >> below(64);
            firefly_.sent = random_() >> below(64);
        }
        if (below(2)) firefly_.rtt_ms = below(1'000'000) / 1000.0;
        application_.assign(1 + below(40), ' ');
        for (char& c : application_) c = static_cast<char>(' ' + below(95));
        firefly_.application = application_;
        return firefly_;
    }

  private:
    std::uint32_t below(std::uint32_t limit) { return static_cast<std::uint32_t>(random_() % limit); }
    std::uint16_t port() { return static_cast<std::uint16_t>(1 + below(65535)); }
    std::int64_t time() {
        return static_cast<std::int64_t>(1'700'000'000'000'000 + random_() % 100'000'000'000'000) * 1000;
    }
    Address address(bool v4) {
        if (v4) {
            in_addr raw{htonl(0x0a000001u + below(1u << 24))};
            return Address(raw);
        }
        Address::Bytes bytes{0x20, 0x01, 0x0d, 0xb8};
        for (std::size_t i = 4; i < bytes.size(); ++i)
            bytes[i] = below(2) ? static_cast<std::uint8_t>(random_()) : std::uint8_t{0};
        return Address(bytes);
    }

    std::mt19937_64 random_;
    std::string application_;
    Firefly firefly_;
};

}  // namespace flowd::firefly
