// SPDX-License-Identifier: Apache-2.0
#include "lib/firefly/blocks.hpp"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "flowd/json.hpp"
#include "lib/firefly/flowd_member.hpp"
#include "lib/firefly/json_text.hpp"

namespace flowd::firefly {
namespace {

namespace dom = simdjson::dom;

[[nodiscard]] std::optional<double> number_in(dom::object object, std::string_view name) {
    double number = 0;
    if (object.at_key(name).get(number) != simdjson::SUCCESS || !std::isfinite(number) || number < 0) return std::nullopt;
    return number;
}

/// Milliseconds, from the member that this emitter uses. 0 of the kernel means that nothing was measured yet.
[[nodiscard]] std::optional<double> rtt_of(dom::object netlink) {
    if (const auto rtt = number_in(netlink, "rtt")) return rtt;
    dom::object info;
    double per_millisecond = 1000;
    if (netlink.at_key("tcpInfo").get(info) != simdjson::SUCCESS) {
        if (netlink.at_key("tcp_info").get(info) != simdjson::SUCCESS) return std::nullopt;
        per_millisecond = 1;
    }
    const auto rtt = number_in(info, "rtt");
    return rtt && *rtt > 0 ? std::optional(*rtt / per_millisecond) : std::nullopt;
}

/// An object whose first member is `rtt`; `state` is from the array form.
void write_netlink(json::Writer& writer, dom::object netlink, std::optional<double> rtt, std::string_view state) {
    writer.object();
    if (rtt) writer.member("rtt", *rtt);
    if (!state.empty()) writer.member("state", state);
    for (const auto& [name, member] : netlink) {
        if (name == "rtt" || (name == "state" && !state.empty())) continue;
        std::string text;
        append_json(text, member);
        writer.key(name);
        writer.raw(text);
    }
    writer.end();
}

[[nodiscard]] std::optional<NormalBlock> normal_netlink(dom::element value) {
    NormalBlock block;
    json::Writer writer(block.json);
    dom::object object;
    if (value.get(object) == simdjson::SUCCESS) {
        block.rtt_ms = rtt_of(object);
        write_netlink(writer, object, block.rtt_ms, {});
        return block;
    }
    dom::array array;
    std::string_view state;
    if (value.get(array) != simdjson::SUCCESS || array.at(0).get(state) != simdjson::SUCCESS ||
        array.at(1).get(object) != simdjson::SUCCESS)
        return std::nullopt;
    block.rtt_ms = rtt_of(object);
    write_netlink(writer, object, block.rtt_ms, state);
    return block;
}

}  // namespace

bool is_block_name(std::string_view name) {
    constexpr std::array<std::string_view, 6> core{"version", "flow-lifecycle", "flow-id",
                                                   "usage",   "context",        flowd_member_name};
    if (name.empty() || name.size() > 64) return false;
    if (std::find(core.begin(), core.end(), name) != core.end()) return false;
    return std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c <= '~' && c != '"' && c != '\\'; });
}

struct BlockReader::State {
    dom::parser parser{1 << 20};
};

BlockReader::BlockReader() : state_(std::make_unique<State>()) {}
BlockReader::BlockReader(BlockReader&&) noexcept = default;
BlockReader& BlockReader::operator=(BlockReader&&) noexcept = default;
BlockReader::~BlockReader() = default;

std::optional<NormalBlock> BlockReader::normalise(std::string_view name, std::string_view json) {
    if (!is_block_name(name)) return std::nullopt;
    dom::element value;
    if (state_->parser.parse(json.data(), json.size()).get(value) != simdjson::SUCCESS) return std::nullopt;
    if (name == "netlink") return normal_netlink(value);
    NormalBlock block;
    append_json(block.json, value);
    return block;
}

}  // namespace flowd::firefly
