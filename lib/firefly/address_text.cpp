// SPDX-License-Identifier: Apache-2.0
#include "lib/firefly/address_text.hpp"

#include <array>
#include <charconv>
#include <cstddef>

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

}  // namespace

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
