// SPDX-License-Identifier: Apache-2.0
#include "lib/firefly/parser.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "flowd/address.hpp"
#include "lib/firefly/address_text.hpp"
#include "lib/firefly/blocks.hpp"
#include "lib/firefly/json_text.hpp"
#include "lib/firefly/timestamp.hpp"
#include "lib/text/words.hpp"

namespace flowd::firefly {
namespace {

namespace dom = simdjson::dom;
using text::same_word;

/// Deeper than the fireflies of any emitter; bounds the work for a hostile datagram.
constexpr std::size_t max_depth = 16;
/// More than any emitter sends; further top-level members are dropped.
constexpr std::size_t max_blocks = 32;

[[nodiscard]] std::string_view without_padding(std::string_view text) {
    constexpr std::string_view blanks("\0 \t\r\n", 5);
    const auto last = text.find_last_not_of(blanks);
    return last == std::string_view::npos ? std::string_view() : text.substr(0, last + 1);
}

/// Records which members were seen, to detect duplicates.
class Seen {
  public:
    /// False if the member was seen before.
    [[nodiscard]] bool first(unsigned member) { return (std::exchange(bits_, bits_ | 1u << member) >> member & 1u) == 0; }
    [[nodiscard]] bool all(unsigned members) const { return (bits_ & members) == members; }

  private:
    unsigned bits_ = 0;
};

[[nodiscard]] Refusal read_time(dom::element value, std::int64_t& time_ns) {
    if (value.is_null()) return Refusal::none;
    std::string_view text;
    if (value.get(text) != simdjson::SUCCESS) return Refusal::bad_type;
    const auto time = parse_event_time(text);
    if (!time) return Refusal::bad_time;
    time_ns = *time;
    return Refusal::none;
}

[[nodiscard]] Refusal read_state(dom::element value, State& state) {
    std::string_view text;
    if (value.get(text) != simdjson::SUCCESS) return Refusal::bad_type;
    if (same_word(text, "start"))
        state = State::start;
    else if (same_word(text, "end"))
        state = State::end;
    else if (same_word(text, "ongoing"))
        state = State::ongoing;
    else
        return Refusal::bad_state;
    return Refusal::none;
}

[[nodiscard]] Refusal read_lifecycle(dom::element value, Firefly& firefly) {
    dom::object object;
    if (value.get(object) != simdjson::SUCCESS) return Refusal::bad_type;
    Seen seen;
    for (const auto& [name, member] : object) {
        Refusal refusal = Refusal::none;
        if (name == "state") {
            refusal = seen.first(0) ? read_state(member, firefly.state) : Refusal::repeated_member;
        } else if (name == "start-time") {
            refusal = seen.first(1) ? read_time(member, firefly.start_time_ns) : Refusal::repeated_member;
        } else if (name == "end-time") {
            refusal = seen.first(2) ? read_time(member, firefly.end_time_ns) : Refusal::repeated_member;
        } else if (name == "current-time") {
            refusal = seen.first(3) ? read_time(member, firefly.current_time_ns) : Refusal::repeated_member;
        }
        if (refusal != Refusal::none) return refusal;
    }
    return seen.all(0b1) ? Refusal::none : Refusal::missing_member;
}

[[nodiscard]] Refusal read_port(dom::element value, std::uint16_t& port) {
    if (!value.is_int64() && !value.is_uint64()) return Refusal::bad_type;
    std::uint64_t number = 0;
    if (value.get(number) != simdjson::SUCCESS || number > 65535) return Refusal::bad_port;
    port = static_cast<std::uint16_t>(number);
    return Refusal::none;
}

[[nodiscard]] Refusal read_protocol(dom::element value, std::uint8_t& protocol) {
    std::string_view text;
    if (value.get(text) != simdjson::SUCCESS) return Refusal::bad_type;
    if (same_word(text, "tcp"))
        protocol = IPPROTO_TCP;
    else if (same_word(text, "udp"))
        protocol = IPPROTO_UDP;
    else
        return Refusal::bad_protocol;
    return Refusal::none;
}

/// `as_v6`: it is an IPv4-mapped address, to which both families apply.
struct WrittenAddress {
    Address address;
    bool as_v6 = false;
};

[[nodiscard]] Refusal read_address(dom::element value, WrittenAddress& written) {
    std::string_view text;
    if (value.get(text) != simdjson::SUCCESS) return Refusal::bad_type;
    const auto address = parse_address(text);
    if (!address || address->is_unspecified()) return Refusal::bad_address;
    written = {*address, text.find(':') != std::string_view::npos};
    return Refusal::none;
}

[[nodiscard]] Refusal check_family(dom::element value, const WrittenAddress& source, const WrittenAddress& destination) {
    std::string_view family;
    if (value.get(family) != simdjson::SUCCESS) return Refusal::bad_type;
    if (source.address.is_v4() != destination.address.is_v4()) return Refusal::bad_family;
    if (same_word(family, "ipv4")) return source.address.is_v4() ? Refusal::none : Refusal::bad_family;
    if (!same_word(family, "ipv6")) return Refusal::bad_family;
    return source.as_v6 && destination.as_v6 ? Refusal::none : Refusal::bad_family;
}

[[nodiscard]] Refusal read_flow_id(dom::element value, Firefly& firefly) {
    dom::object object;
    if (value.get(object) != simdjson::SUCCESS) return Refusal::bad_type;
    Seen seen;
    dom::element family;
    WrittenAddress source, destination;
    std::uint16_t source_port = 0, destination_port = 0;
    std::uint8_t protocol = 0;
    for (const auto& [name, member] : object) {
        Refusal refusal = Refusal::none;
        if (name == "afi") {
            if (!seen.first(0)) return Refusal::repeated_member;
            family = member;
        } else if (name == "src-ip") {
            refusal = seen.first(1) ? read_address(member, source) : Refusal::repeated_member;
        } else if (name == "dst-ip") {
            refusal = seen.first(2) ? read_address(member, destination) : Refusal::repeated_member;
        } else if (name == "protocol") {
            refusal = seen.first(3) ? read_protocol(member, protocol) : Refusal::repeated_member;
        } else if (name == "src-port") {
            refusal = seen.first(4) ? read_port(member, source_port) : Refusal::repeated_member;
        } else if (name == "dst-port") {
            refusal = seen.first(5) ? read_port(member, destination_port) : Refusal::repeated_member;
        }
        if (refusal != Refusal::none) return refusal;
    }
    if (!seen.all(0b111111)) return Refusal::missing_member;
    if (const auto refusal = check_family(family, source, destination); refusal != Refusal::none) return refusal;
    if (source_port == 0 || destination_port == 0) return Refusal::port_zero;
    firefly.key = make_key({source.address, source_port}, {destination.address, destination_port}, protocol);
    return Refusal::none;
}

[[nodiscard]] Refusal read_id(dom::element value, std::uint32_t& id) {
    if (!value.is_int64() && !value.is_uint64()) return Refusal::bad_type;
    std::uint64_t number = 0;
    if (value.get(number) != simdjson::SUCCESS || number > std::numeric_limits<std::uint32_t>::max())
        return Refusal::bad_tag;
    id = static_cast<std::uint32_t>(number);
    return Refusal::none;
}

[[nodiscard]] Refusal read_context(dom::element value, Firefly& firefly) {
    dom::object object;
    if (value.get(object) != simdjson::SUCCESS) return Refusal::bad_type;
    Seen seen;
    for (const auto& [name, member] : object) {
        Refusal refusal = Refusal::none;
        if (name == "experiment-id") {
            refusal = seen.first(0) ? read_id(member, firefly.tag.experiment) : Refusal::repeated_member;
        } else if (name == "activity-id") {
            refusal = seen.first(1) ? read_id(member, firefly.tag.activity) : Refusal::repeated_member;
        } else if (name == "application") {
            if (!seen.first(2)) return Refusal::repeated_member;
            if (!member.is_null() && member.get(firefly.application) != simdjson::SUCCESS) return Refusal::bad_type;
        }
        if (refusal != Refusal::none) return refusal;
    }
    return seen.all(0b11) ? Refusal::none : Refusal::missing_member;
}

[[nodiscard]] Refusal read_usage(dom::element value, Firefly& firefly) {
    if (value.is_null()) return Refusal::none;
    dom::object object;
    if (value.get(object) != simdjson::SUCCESS) return Refusal::bad_type;
    for (const auto& [name, member] : object) {
        std::uint64_t* number = name == "received" ? &firefly.received : name == "sent" ? &firefly.sent : nullptr;
        if (number == nullptr || member.is_null()) continue;
        if (member.get(*number) != simdjson::SUCCESS) return Refusal::bad_type;
        firefly.has_usage = true;
    }
    return Refusal::none;
}

/// 16 lower-case hexadecimal digits.
[[nodiscard]] bool read_hex(dom::element value, std::uint64_t& id) {
    std::string_view text;
    if (value.get(text) != simdjson::SUCCESS || text.size() != 16) return false;
    if (text.find_first_not_of("0123456789abcdef") != std::string_view::npos) return false;
    return std::from_chars(text.data(), text.data() + text.size(), id, 16).ec == std::errc();
}

[[nodiscard]] bool read_number(dom::element value, std::uint64_t least, std::uint64_t limit, std::uint64_t& number) {
    return value.is_int64() && value.get(number) == simdjson::SUCCESS && number >= least && number < limit;
}

/// Empty if it does not have the form that daemons write: then a third-party program uses the name for something else.
[[nodiscard]] std::optional<FlowdMember> read_member(dom::element value) {
    dom::object object;
    if (value.get(object) != simdjson::SUCCESS) return std::nullopt;
    FlowdMember member;
    std::uint64_t hops = 0;
    Seen seen;
    for (const auto& [name, part] : object) {
        bool good = true;
        if (name == "boot")
            good = seen.first(0) && read_hex(part, member.boot);
        else if (name == "stream")
            good = seen.first(1) && read_number(part, 0, number_limit, member.stream);
        else if (name == "seq")
            good = seen.first(2) && read_number(part, 1, number_limit, member.seq);
        else if (name == "origin")
            good = seen.first(3) && read_hex(part, member.path.origin);
        else if (name == "hops")
            good = seen.first(4) && read_number(part, 0, std::uint64_t{1} << 32, hops);
        if (!good) return std::nullopt;
    }
    member.path.hops = static_cast<std::uint32_t>(hops);
    return seen.all(0b11111) ? std::optional(member) : std::nullopt;
}

}  // namespace

struct Parser::State {
    explicit State(std::size_t capacity) : buffer(capacity + simdjson::SIMDJSON_PADDING, '\0'), parser(capacity) {}

    std::string buffer;
    dom::parser parser;
    std::vector<std::string> texts;  ///< of the blocks; kept to reuse their memory
    std::vector<Block> blocks;

    void add_block(std::string_view name, dom::element value) {
        if (!is_block_name(name) || blocks.size() == max_blocks) return;
        if (texts.size() == blocks.size()) texts.emplace_back();
        std::string& text = texts[blocks.size()];
        text.clear();
        append_json(text, value);
        blocks.push_back({name, {}});
    }
    [[nodiscard]] Refusal read(dom::object object, Firefly& firefly);
};

Refusal Parser::State::read(dom::object object, Firefly& firefly) {
    Seen seen;
    for (const auto& [name, member] : object) {
        Refusal refusal = Refusal::none;
        if (name == "flow-lifecycle") {
            refusal = seen.first(0) ? read_lifecycle(member, firefly) : Refusal::repeated_member;
        } else if (name == "flow-id") {
            refusal = seen.first(1) ? read_flow_id(member, firefly) : Refusal::repeated_member;
        } else if (name == "context") {
            refusal = seen.first(2) ? read_context(member, firefly) : Refusal::repeated_member;
        } else if (name == "version") {
            if (!seen.first(3)) return Refusal::repeated_member;
            std::int64_t version = 0;
            if (!member.is_int64() || member.get(version) != simdjson::SUCCESS) return Refusal::bad_type;
            if (version != 1) return Refusal::unsupported_version;
        } else if (name == "usage") {
            refusal = seen.first(4) ? read_usage(member, firefly) : Refusal::repeated_member;
        } else if (name == flowd_member_name) {
            firefly.member = seen.first(5) ? read_member(member) : std::nullopt;
        } else {
            add_block(name, member);
        }
        if (refusal != Refusal::none) return refusal;
    }
    if (!seen.all(0b1111)) return Refusal::missing_member;
    for (std::size_t i = 0; i < blocks.size(); ++i) blocks[i].json = texts[i];
    firefly.blocks = blocks;
    return Refusal::none;
}

Parser::Parser(std::size_t capacity) : state_(std::make_unique<State>(capacity)) {
    if (state_->parser.allocate(capacity, max_depth) != simdjson::SUCCESS) throw std::bad_alloc();
}
Parser::Parser(Parser&&) noexcept = default;
Parser& Parser::operator=(Parser&&) noexcept = default;
Parser::~Parser() = default;

Refusal Parser::parse(std::string_view datagram, Firefly& firefly) {
    State& state = *state_;
    const std::string_view trimmed = without_padding(datagram);
    if (trimmed.empty()) return Refusal::empty;
    const auto begin = trimmed.find('{');
    if (begin == std::string_view::npos) return Refusal::no_json;
    const std::string_view json = trimmed.substr(begin);
    if (json.size() > state.buffer.size() - simdjson::SIMDJSON_PADDING) return Refusal::truncated;
    std::memcpy(state.buffer.data(), json.data(), json.size());
    std::memset(state.buffer.data() + json.size(), 0, simdjson::SIMDJSON_PADDING);

    dom::element root;
    if (state.parser.parse(state.buffer.data(), json.size(), false).get(root) != simdjson::SUCCESS)
        return Refusal::bad_json;
    dom::object object;
    if (root.get(object) != simdjson::SUCCESS) return Refusal::bad_json;
    firefly = Firefly{};
    state.blocks.clear();
    return state.read(object, firefly);
}

}  // namespace flowd::firefly
