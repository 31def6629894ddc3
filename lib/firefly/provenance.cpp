// SPDX-License-Identifier: Apache-2.0
#include "lib/firefly/provenance.hpp"

#include <array>
#include <cstddef>

#include "flowd/number.hpp"

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

std::string to_text(const Provenance& provenance) {
    std::array<char, 16> origin;
    const auto end = std::to_chars(origin.data(), origin.data() + origin.size(), provenance.path.origin, 16).ptr;
    std::string text(origin.data(), static_cast<std::size_t>(end - origin.data()));
    text.append(" ").append(std::to_string(provenance.path.hops));
    text.append(" ").append(provenance.peer.to_string());
    text.append(" ").append(std::to_string(provenance.port)).append("\n");
    return text.append(provenance.receivers);
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
