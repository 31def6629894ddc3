// SPDX-License-Identifier: Apache-2.0
#include "core/host/sender_ids.hpp"

#include <sys/random.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "flowd/address.hpp"

namespace flowd::core {

SenderIds::SenderIds() {
    if (::getrandom(key_, sizeof key_, 0) != static_cast<ssize_t>(sizeof key_))
        throw std::system_error(errno, std::generic_category(), "getrandom");
}

std::uint64_t SenderIds::id_of(std::string_view identity) const {
    Address::Bytes bytes{};
    if (identity.size() == bytes.size()) {
        std::memcpy(bytes.data(), identity.data(), bytes.size());
        if (Address(bytes).is_loopback()) identity = "loopback";
    }
    const std::uint64_t id = sip_hash(key_, identity);
    return id == 0 ? 1 : id;
}

std::uint64_t sip_hash(const std::uint64_t (&key)[2], std::string_view bytes) {
    std::uint64_t a = key[0] ^ 0x736f6d6570736575u, b = key[1] ^ 0x646f72616e646f6du;
    std::uint64_t c = key[0] ^ 0x6c7967656e657261u, d = key[1] ^ 0x7465646279746573u;
    const auto rounds = [&](int count) {
        while (count-- > 0) {
            a += b;
            b = std::rotl(b, 13) ^ a;
            a = std::rotl(a, 32);
            c += d;
            d = std::rotl(d, 16) ^ c;
            a += d;
            d = std::rotl(d, 21) ^ a;
            c += b;
            b = std::rotl(b, 17) ^ c;
            c = std::rotl(c, 32);
        }
    };
    const auto word_at = [&](std::size_t at, std::size_t length) {
        std::uint64_t word = 0;
        for (std::size_t i = 0; i < length; ++i)
            word |= std::uint64_t{static_cast<unsigned char>(bytes[at + i])} << (8 * i);
        return word;
    };
    const std::size_t whole = bytes.size() / 8 * 8;
    const auto take = [&](std::uint64_t word) {
        d ^= word;
        rounds(2);
        a ^= word;
    };
    for (std::size_t at = 0; at < whole; at += 8) take(word_at(at, 8));
    take(word_at(whole, bytes.size() - whole) | std::uint64_t{bytes.size()} << 56);
    c ^= 0xff;
    rounds(4);
    return a ^ b ^ c ^ d;
}

}  // namespace flowd::core
