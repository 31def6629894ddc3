// SPDX-License-Identifier: Apache-2.0
#include "lib/firefly/address_text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>

namespace flowd::firefly {
namespace {

constexpr std::size_t group_count = 8;

/// `end`: that of the buffer.
char* print_v4(const Address::Bytes& bytes, char* at, char* end) {
    for (std::size_t i = 12; i < bytes.size(); ++i) {
        if (i != 12) *at++ = '.';
        at = std::to_chars(at, end, static_cast<unsigned>(bytes[i])).ptr;
    }
    return at;
}

struct Run {
    std::size_t begin, length;
};

/// The groups that "::" replaces: the longest run of at least two zeros, the first one of several.
Run zeros_of(const std::array<unsigned, group_count>& groups) {
    Run longest{group_count, 1};
    for (std::size_t begin = 0; begin < group_count;) {
        std::size_t end = begin;
        while (end < group_count && groups[end] == 0) ++end;
        if (end - begin > longest.length) longest = {begin, end - begin};
        begin = end + 1;
    }
    return longest;
}

char* print_v6(const Address::Bytes& bytes, char* at, char* end) {
    std::array<unsigned, group_count> groups{};
    for (std::size_t i = 0; i < group_count; ++i) groups[i] = unsigned{bytes[2 * i]} << 8u | bytes[2 * i + 1];
    const Run zeros = zeros_of(groups);
    for (std::size_t i = 0; i < group_count;) {
        if (i == zeros.begin) {
            *at++ = ':';
            *at++ = ':';
            i += zeros.length;
            continue;
        }
        // ::192.0.2.1, as inet_ntop writes it.
        if (i == 6 && zeros.begin == 0 && zeros.length == 6) return print_v4(bytes, at, end);
        if (i != 0 && i != zeros.begin + zeros.length) *at++ = ':';
        at = std::to_chars(at, end, groups[i++], 16).ptr;
    }
    return at;
}

/// Reads at most `most_digits` leading digits in `base`. Returns how many there are.
std::size_t read_number(std::string_view text, unsigned base, std::size_t most_digits, unsigned& number) {
    const auto value = [](char c) {
        if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
        const auto letter = static_cast<unsigned>((c | 0x20) - 'a');  // either case
        return letter < 26 ? 10 + letter : ~0u;
    };
    std::size_t digits = 0;
    for (number = 0; digits < text.size() && digits < most_digits && value(text[digits]) < base; ++digits)
        number = number * base + value(text[digits]);
    return digits;
}

/// "192.0.2.1"; empty for everything else, of which some is an address.
std::optional<Address> parse_plain_v4(std::string_view text) {
    Address::Bytes bytes{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    for (std::size_t i = 12; i < bytes.size(); ++i) {
        unsigned number = 0;
        const std::size_t digits = read_number(text, 10, 3, number);
        if (digits == 0 || number > 255 || (digits > 1 && text.front() == '0')) return std::nullopt;
        bytes[i] = static_cast<std::uint8_t>(number);
        text.remove_prefix(digits);
        if (i + 1 == bytes.size()) break;
        if (!text.starts_with('.')) return std::nullopt;
        text.remove_prefix(1);
    }
    return text.empty() ? std::optional(Address(bytes)) : std::nullopt;
}

/// Groups in hexadecimal, "::" once at most; empty for everything else, of which some is an address.
std::optional<Address> parse_plain_v6(std::string_view text) {
    Address::Bytes bytes{};
    constexpr std::size_t no_gap = group_count + 1;
    std::size_t count = 0, gap = no_gap;
    bool may_end = false;  // not behind a single colon
    if (text.starts_with("::")) {
        gap = 0;
        may_end = true;
        text.remove_prefix(2);
    }
    while (!text.empty()) {
        unsigned group = 0;
        const std::size_t digits = read_number(text, 16, 4, group);
        if (digits == 0 || count == group_count) return std::nullopt;
        bytes[2 * count] = static_cast<std::uint8_t>(group >> 8u);
        bytes[2 * count + 1] = static_cast<std::uint8_t>(group);
        ++count;
        text.remove_prefix(digits);
        may_end = true;
        if (text.empty()) break;
        if (text.front() != ':') return std::nullopt;
        text.remove_prefix(1);
        may_end = text.starts_with(':');
        if (!may_end) continue;
        if (gap != no_gap) return std::nullopt;
        gap = count;
        text.remove_prefix(1);
    }
    if (!may_end || (gap == no_gap) != (count == group_count)) return std::nullopt;
    if (gap != no_gap) {
        const auto tail = bytes.begin() + static_cast<std::ptrdiff_t>(2 * gap);
        const auto end = bytes.begin() + static_cast<std::ptrdiff_t>(2 * count);
        std::fill(tail, std::copy_backward(tail, end, bytes.end()), std::uint8_t{0});
    }
    return Address(bytes);
}

}  // namespace

std::optional<Address> parse_address(std::string_view text) {
    const bool is_v6 = text.find(':') != std::string_view::npos;
    const auto plain = is_v6 ? parse_plain_v6(text) : parse_plain_v4(text);
    return plain ? plain : Address::parse(text);
}

std::string_view print_address(const Address& address, std::span<char, INET6_ADDRSTRLEN> buffer) {
    char* const begin = buffer.data();
    char* const end = begin + buffer.size();
    char* const last = address.is_v4() ? print_v4(address.bytes(), begin, end) : print_v6(address.bytes(), begin, end);
    return {begin, static_cast<std::size_t>(last - begin)};
}

void append_address(std::string& text, const Address& address) {
    std::array<char, INET6_ADDRSTRLEN> buffer;
    text.append(print_address(address, buffer));
}

void append_endpoint(std::string& text, const Endpoint& endpoint) {
    const bool brackets = !endpoint.address.is_v4();
    if (brackets) text.push_back('[');
    append_address(text, endpoint.address);
    if (brackets) text.push_back(']');
    std::array<char, 6> port;
    port[0] = ':';
    text.append(port.data(), std::to_chars(port.data() + 1, port.data() + port.size(), endpoint.port).ptr);
}

}  // namespace flowd::firefly
