// SPDX-License-Identifier: Apache-2.0
#include "lib/firefly/provenance.hpp"

#include <array>
#include <charconv>
#include <cstddef>

#include "flowd/number.hpp"
#include "lib/firefly/address_text.hpp"

namespace flowd::firefly {
namespace {

/// Removes the text up to and including `end`, and returns the text before it.
[[nodiscard]] std::optional<std::string_view> take_until(std::string_view& text, char end) {
    const auto at = text.find(end);
    if (at == std::string_view::npos) return std::nullopt;
    const auto word = text.substr(0, at);
    text.remove_prefix(at + 1);
    return word;
}

template <typename Number>
[[nodiscard]] bool read(std::optional<std::string_view> word, Number& number, int base = 10) {
    const auto read = word ? whole_number<Number>(*word, base) : std::nullopt;
    number = read.value_or(0);
    return read.has_value();
}

}  // namespace

void append_text(std::string& text, const Provenance& provenance) {
    std::array<char, 64> buffer;  // two numbers, blanks, and a port
    char* const end = buffer.data() + buffer.size();
    char* at = std::to_chars(buffer.data(), end, provenance.path.origin, 16).ptr;
    *at++ = ' ';
    at = std::to_chars(at, end, provenance.path.hops).ptr;
    *at++ = ' ';
    text.append(buffer.data(), at);
    append_address(text, provenance.peer);
    at = buffer.data();
    *at++ = ' ';
    at = std::to_chars(at, end, provenance.port).ptr;
    *at++ = '\n';
    text.append(buffer.data(), at).append(provenance.receivers);
}

std::optional<Provenance> parse_provenance(std::string_view text) {
    Provenance provenance;
    if (!read(take_until(text, ' '), provenance.path.origin, 16)) return std::nullopt;
    if (!read(take_until(text, ' '), provenance.path.hops)) return std::nullopt;
    const auto peer = take_until(text, ' ');
    const auto address = peer ? Address::parse(*peer) : std::nullopt;
    if (!address || !read(take_until(text, '\n'), provenance.port)) return std::nullopt;
    provenance.peer = *address;
    provenance.receivers = text;
    return provenance;
}

}  // namespace flowd::firefly
