// SPDX-License-Identifier: Apache-2.0
#include "lib/net/stun.hpp"

#include <sys/random.h>

#include <algorithm>
#include <optional>
#include <string>

namespace flowd::net::stun {
namespace {

using Bytes = std::span<const std::byte>;

// RFC 8489 section 5: the class is spread over the bits of the type.
constexpr std::uint16_t request = 0x0001, success = 0x0101, failure = 0x0111;
constexpr std::array cookie{std::byte{0x21}, std::byte{0x12}, std::byte{0xa4}, std::byte{0x42}};
constexpr std::size_t cookie_at = 4, id_at = 8;

// RFC 8489 section 18.3.
enum Attribute : std::uint16_t {
    mapped_address = 0x0001,
    message_integrity = 0x0008,
    error_code = 0x0009,
    message_integrity_sha256 = 0x001c,
    xor_mapped_address = 0x0020,
};
/// Types below this are comprehension-required (section 14).
constexpr std::uint16_t first_optional = 0x8000;

[[nodiscard]] Error refused(std::string why) {
    return Error{FLOWD_INVALID, "not an answer of a STUN server: " + std::move(why)};
}

[[nodiscard]] std::uint16_t number_at(Bytes bytes, std::size_t at) {
    return static_cast<std::uint16_t>(std::to_integer<unsigned>(bytes[at]) << 8 | std::to_integer<unsigned>(bytes[at + 1]));
}

/// Comprehension-required attributes that are ignored: those of RFC 3489, which old servers still send as well
/// (SOURCE-ADDRESS, CHANGED-ADDRESS), those of errors (UNKNOWN-ATTRIBUTES, REALM, NONCE), and integrity.
[[nodiscard]] bool passed_over(std::uint16_t type) {
    constexpr std::array<std::uint16_t, 7> known{0x0004, 0x0005, message_integrity,       0x000a,
                                                 0x0014, 0x0015, message_integrity_sha256};
    return type >= first_optional || std::find(known.begin(), known.end(), type) != known.end();
}

/// Sections 14.1 and 14.2. `key`: the bytes from the cookie on, to be combined with the value; empty: none.
[[nodiscard]] std::optional<Endpoint> address_of(Bytes value, Bytes key) {
    if (value.size() != 8 && value.size() != 20) return std::nullopt;
    const bool v4 = value.size() == 8;
    if (std::to_integer<unsigned>(value[1]) != (v4 ? 1u : 2u)) return std::nullopt;
    const auto plain = [&](std::size_t i) {
        return std::to_integer<std::uint8_t>(key.empty() ? value[4 + i] : value[4 + i] ^ key[i]);
    };
    auto port = number_at(value, 2);
    if (!key.empty()) port = static_cast<std::uint16_t>(port ^ number_at(key, 0));
    // An IPv4-mapped address, as Address stores IPv4.
    Address::Bytes bytes{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    const std::size_t length = v4 ? 4 : 16;
    for (std::size_t i = 0; i < length; ++i) bytes[16 - length + i] = plain(i);
    return Endpoint{Address(bytes), port};
}

/// Section 14.8.
[[nodiscard]] std::string error_text(Bytes value) {
    if (value.size() < 4) return "an error";
    const unsigned hundreds = std::to_integer<unsigned>(value[2]) & 7u;
    return "error " + std::to_string(hundreds * 100 + std::to_integer<unsigned>(value[3]));
}

struct Attributes {
    std::optional<Bytes> plain, combined, error;  ///< values; the first of each type
};

[[nodiscard]] Result<Attributes> attributes_of(Bytes body) {
    Attributes found;
    bool sealed = false;  // attributes after MESSAGE-INTEGRITY are ignored (section 14.5)
    while (!body.empty()) {
        if (body.size() < 4) return refused("it is truncated");
        const auto type = number_at(body, 0);
        const std::size_t length = number_at(body, 2), padded = (length + 3) / 4 * 4;
        if (padded > body.size() - 4) return refused("an attribute is longer than the message");
        const Bytes value = body.subspan(4, length);
        body = body.subspan(4 + padded);
        if (sealed) continue;
        std::optional<Bytes>* place = type == mapped_address       ? &found.plain
                                      : type == xor_mapped_address ? &found.combined
                                      : type == error_code         ? &found.error
                                                                   : nullptr;
        if (place != nullptr) {
            if (!*place) *place = value;
        } else if (!passed_over(type)) {
            return refused("it has an unknown comprehension-required attribute, " + std::to_string(type));
        }
        sealed = type == message_integrity || type == message_integrity_sha256;
    }
    return found;
}

}  // namespace

Result<TransactionId> random_id() {
    TransactionId id{};
    if (::getrandom(id.data(), id.size(), 0) != static_cast<ssize_t>(id.size()))
        return Error::from_errno(errno, "reading a random number");
    return id;
}

std::array<std::byte, header_size> binding_request(const TransactionId& id) {
    std::array<std::byte, header_size> datagram{std::byte{request >> 8}, std::byte{request & 0xff}};
    std::copy(cookie.begin(), cookie.end(), datagram.begin() + cookie_at);
    std::copy(id.begin(), id.end(), datagram.begin() + id_at);
    return datagram;
}

Result<Endpoint> parse_binding_response(std::span<const std::byte> datagram, const TransactionId& id) {
    if (datagram.size() < header_size) return refused("it is too short");
    const auto type = number_at(datagram, 0);
    if (type != success && type != failure) return refused("it is not a Binding response");
    const Bytes key = datagram.subspan(cookie_at, cookie.size() + id.size());
    if (!std::equal(cookie.begin(), cookie.end(), key.begin())) return refused("it lacks the magic cookie");
    if (!std::equal(id.begin(), id.end(), key.begin() + cookie.size()))
        return refused("its transaction id is of another request");
    const Bytes body = datagram.subspan(header_size);
    if (number_at(datagram, 2) != body.size() || body.size() % 4 != 0) return refused("its length is wrong");
    const auto attributes = attributes_of(body);
    if (!attributes) return attributes.error();
    if (type == failure)
        return Error{FLOWD_DENIED, "the server answered with " + error_text(attributes->error.value_or(Bytes{}))};
    const bool combined = attributes->combined.has_value();
    if (!combined && !attributes->plain) return refused("it has no address");
    const auto endpoint = combined ? address_of(*attributes->combined, key) : address_of(*attributes->plain, {});
    if (!endpoint) return refused("its address is malformed");
    return *endpoint;
}

}  // namespace flowd::net::stun
