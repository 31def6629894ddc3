// SPDX-License-Identifier: Apache-2.0
// flowd/address.hpp: the address type. Values; not bound to a thread.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <compare>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "flowd/abi/event.h"

namespace flowd {

/// An IPv6 address, or an IPv4-mapped address (RFC 4291 section 2.5.5.2), in network order.
class Address {
  public:
    using Bytes = std::array<std::uint8_t, 16>;

    constexpr Address() = default;
    constexpr explicit Address(const Bytes& bytes) : bytes_(bytes) {}
    explicit Address(const std::uint8_t (&bytes)[16]) { std::copy_n(bytes, 16, bytes_.begin()); }
    explicit Address(const in6_addr& address) { std::memcpy(bytes_.data(), &address, 16); }
    explicit Address(const in_addr& address) : bytes_(mapped_prefix) { std::memcpy(bytes_.data() + 12, &address, 4); }

    /// Parses an address literal: upper or lower case, uncompressed, in brackets, IPv4-mapped, and with a zone id, which is
    /// discarded. Empty for anything else, including host names.
    [[nodiscard]] static std::optional<Address> parse(std::string_view text) {
        if (text.size() >= 2 && text.front() == '[' && text.back() == ']') text = text.substr(1, text.size() - 2);
        const bool is_v6 = text.find(':') != std::string_view::npos;
        if (is_v6) {
            const auto zone = text.find('%');
            if (zone != std::string_view::npos) {
                if (zone + 1 == text.size()) return std::nullopt;
                text = text.substr(0, zone);
            }
        }
        std::array<char, INET6_ADDRSTRLEN> terminated{};
        if (text.empty() || text.size() >= terminated.size() || text.find('\0') != std::string_view::npos)
            return std::nullopt;
        std::copy(text.begin(), text.end(), terminated.begin());
        if (is_v6) {
            in6_addr v6{};
            if (inet_pton(AF_INET6, terminated.data(), &v6) != 1) return std::nullopt;
            return Address(v6);
        }
        in_addr v4{};
        if (inet_pton(AF_INET, terminated.data(), &v4) != 1) return std::nullopt;
        return Address(v4);
    }

    [[nodiscard]] constexpr const Bytes& bytes() const { return bytes_; }
    [[nodiscard]] constexpr bool is_v4() const {
        for (std::size_t i = 0; i < 12; ++i)
            if (bytes_[i] != mapped_prefix[i]) return false;
        return true;
    }
    [[nodiscard]] constexpr bool is_unspecified() const {
        for (std::size_t i = is_v4() ? 12 : 0; i < 16; ++i)
            if (bytes_[i] != 0) return false;
        return true;
    }
    [[nodiscard]] constexpr bool is_loopback() const {
        if (is_v4()) return bytes_[12] == 127;
        for (std::size_t i = 0; i < 15; ++i)
            if (bytes_[i] != 0) return false;
        return bytes_[15] == 1;
    }
    [[nodiscard]] constexpr bool is_multicast() const { return is_v4() ? (bytes_[12] & 0xf0) == 0xe0 : bytes_[0] == 0xff; }
    [[nodiscard]] constexpr bool is_link_local() const {
        return is_v4() ? (bytes_[12] == 169 && bytes_[13] == 254) : (bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80);
    }

    /// RFC 5952 for IPv6, dotted quad for IPv4.
    [[nodiscard]] std::string to_string() const {
        std::array<char, INET6_ADDRSTRLEN> text{};
        return std::string(to_chars(text));
    }
    /// The same without allocation; the view refers to `buffer`.
    std::string_view to_chars(std::span<char, INET6_ADDRSTRLEN> buffer) const {
        if (is_v4())
            inet_ntop(AF_INET, bytes_.data() + 12, buffer.data(), buffer.size());
        else
            inet_ntop(AF_INET6, bytes_.data(), buffer.data(), buffer.size());
        return {buffer.data()};
    }

    friend constexpr bool operator==(const Address&, const Address&) = default;
    friend std::strong_ordering operator<=>(const Address& a, const Address& b) {
        return std::memcmp(a.bytes_.data(), b.bytes_.data(), 16) <=> 0;
    }

  private:
    static constexpr Bytes mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0};
    Bytes bytes_{};
};

/// An address and a port in host byte order.
struct Endpoint {
    Address address;
    std::uint16_t port = 0;

    /// From a socket address that is as long as its family requires. Empty for null and for a family
    /// other than IPv4 and IPv6.
    [[nodiscard]] static std::optional<Endpoint> from(const sockaddr* address) {
        const int family = address == nullptr ? AF_UNSPEC : address->sa_family;
        if (family == AF_INET6) {
            sockaddr_in6 v6{};
            std::memcpy(&v6, address, sizeof v6);
            return Endpoint{Address(v6.sin6_addr), ntohs(v6.sin6_port)};
        }
        if (family == AF_INET) {
            sockaddr_in v4{};
            std::memcpy(&v4, address, sizeof v4);
            return Endpoint{Address(v4.sin_addr), ntohs(v4.sin_port)};
        }
        return std::nullopt;
    }
    [[nodiscard]] static std::optional<Endpoint> from(const sockaddr_storage& storage) {
        return from(reinterpret_cast<const sockaddr*>(&storage));
    }
    /// AF_INET for an IPv4 address, otherwise AF_INET6. Returns the length to pass to bind, connect, sendto.
    socklen_t to(sockaddr_storage& storage) const {
        std::memset(&storage, 0, sizeof storage);
        if (address.is_v4()) {
            sockaddr_in v4{};
            v4.sin_family = AF_INET;
            v4.sin_port = htons(port);
            std::memcpy(&v4.sin_addr, address.bytes().data() + 12, 4);
            std::memcpy(&storage, &v4, sizeof v4);
            return sizeof v4;
        }
        sockaddr_in6 v6{};
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(port);
        std::memcpy(&v6.sin6_addr, address.bytes().data(), 16);
        std::memcpy(&storage, &v6, sizeof v6);
        return sizeof v6;
    }
    /// "192.0.2.1:80", "[2001:db8::1]:80"
    [[nodiscard]] std::string to_string() const {
        const std::string text = address.to_string();
        return (address.is_v4() ? text : "[" + text + "]") + ":" + std::to_string(port);
    }
    friend constexpr bool operator==(const Endpoint&, const Endpoint&) = default;
    friend std::strong_ordering operator<=>(const Endpoint&, const Endpoint&) = default;
};

/// A prefix. The length counts the bits of the 16-byte form: IPv4 /24 is 120.
struct Network {
    Address address;
    std::uint8_t length = 128;

    /// "192.0.2.0/24", "2001:db8::/32", or an address without length. Bits after the prefix must be 0; otherwise empty.
    [[nodiscard]] static std::optional<Network> parse(std::string_view text) {
        const auto slash = text.find('/');
        const auto address = Address::parse(text.substr(0, slash));
        if (!address) return std::nullopt;
        Network network{*address, 128};
        if (slash != std::string_view::npos) {
            const auto digits = text.substr(slash + 1);
            unsigned bits = 0;
            const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
            const bool v4_text = text.substr(0, slash).find(':') == std::string_view::npos;
            if (error != std::errc() || end != digits.data() + digits.size() || bits > (v4_text ? 32u : 128u))
                return std::nullopt;
            network.length = static_cast<std::uint8_t>(v4_text ? bits + 96 : bits);
        }
        for (unsigned bit = network.length; bit < 128; ++bit)
            if (address->bytes()[bit / 8] >> (7 - bit % 8) & 1) return std::nullopt;
        return network;
    }
    [[nodiscard]] constexpr bool contains(const Address& other) const {
        for (unsigned i = 0, left = length; left > 0; ++i) {
            const unsigned bits = left < 8 ? left : 8;
            const auto mask = static_cast<std::uint8_t>(0xff00u >> bits);
            if ((address.bytes()[i] & mask) != (other.bytes()[i] & mask)) return false;
            left -= bits;
        }
        return true;
    }
    [[nodiscard]] std::string to_string() const {
        const bool v4 = address.is_v4() && length >= 96;
        return address.to_string() + "/" + std::to_string(v4 ? length - 96 : length);
    }
    friend constexpr bool operator==(const Network&, const Network&) = default;
};

/// The two ends of a key.
[[nodiscard]] inline Endpoint source_of(const flowd_key& key) {
    return {Address(key.source), key.source_port};
}
[[nodiscard]] inline Endpoint destination_of(const flowd_key& key) {
    return {Address(key.destination), key.destination_port};
}

[[nodiscard]] inline flowd_key make_key(const Endpoint& source, const Endpoint& destination, std::uint8_t protocol,
                                        std::uint32_t scope = 0) {
    flowd_key key{};
    std::copy(source.address.bytes().begin(), source.address.bytes().end(), key.source);
    std::copy(destination.address.bytes().begin(), destination.address.bytes().end(), key.destination);
    key.source_port = source.port;
    key.destination_port = destination.port;
    key.protocol = protocol;
    key.scope = scope;
    return key;
}

}  // namespace flowd
