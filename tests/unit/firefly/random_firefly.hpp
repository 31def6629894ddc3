// SPDX-License-Identifier: Apache-2.0
// Any firefly that may be printed, from a seed.
#pragma once

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "flowd/address.hpp"
#include "flowd/json.hpp"
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
    /// The same with some of the blocks that there are, of any length, in any order. netlink is normal.
    const Firefly& next_with_blocks() {
        next();
        texts_.clear();
        blocks_.clear();
        std::vector<std::string_view> names{"netlink", "skOps", "storage-stats", "vendor", "x"};
        std::shuffle(names.begin(), names.end(), random_);
        names.resize(below(6));
        texts_.reserve(2 * names.size());
        for (const auto name : names) {
            const std::string rtt = name == "netlink" && firefly_.rtt_ms ? rtt_member() : "";
            const std::string& shorter = texts_.emplace_back("{" + rtt + R"("n":1})");
            const std::string& json =
                texts_.emplace_back("{" + rtt + R"("text":")" + std::string(below(900), 'x') + R"("})");
            blocks_.push_back({name, json, below(2) ? std::string_view(shorter) : std::string_view()});
        }
        firefly_.blocks = blocks_;
        return firefly_;
    }
    [[nodiscard]] std::uint32_t below(std::uint32_t limit) { return static_cast<std::uint32_t>(random_() % limit); }

  private:
    std::string rtt_member() {
        std::string text;
        json::Writer writer(text);
        writer.object().member("rtt", *firefly_.rtt_ms).end();
        return text.substr(1, text.size() - 2) + ",";
    }
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
    std::vector<std::string> texts_;
    std::vector<Block> blocks_;
    Firefly firefly_;
};

}  // namespace flowd::firefly
