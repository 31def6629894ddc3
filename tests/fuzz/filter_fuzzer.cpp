// SPDX-License-Identifier: Apache-2.0
// A filter, whatever it is: an error has a printable message with a column and a hint; a filter that is accepted can be
// applied to any flow, and what it gives to the core excludes no match.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "flowd/filter.hpp"

namespace {

using namespace flowd;

void require(bool truth) {
    if (!truth) std::abort();
}

struct Names {
    static std::optional<std::uint32_t> experiment_id(std::string_view name) {
        return name.size() == 3 ? std::optional<std::uint32_t>(2) : std::nullopt;
    }
    static std::optional<std::uint32_t> activity_id(std::uint32_t, std::string_view name) { return experiment_id(name); }
    static std::string_view experiment_name(std::uint32_t) { return "cms"; }
    static std::string_view activity_name(std::uint32_t, std::uint32_t) { return "a b"; }
};

bool core_passes(const flowd_flow_filter& filter, const flowd_flow& flow) {
    const auto has = [&](std::uint32_t member) { return (filter.members & member) != 0; };
    const Network network{Address(filter.network), static_cast<std::uint8_t>(filter.prefix_length)};
    return (!has(FLOWD_FILTER_EXPERIMENT) || filter.tag.experiment == flow.tag.experiment) &&
           (!has(FLOWD_FILTER_ACTIVITY) || filter.tag.activity == flow.tag.activity) &&
           (!has(FLOWD_FILTER_PORT) || filter.port == flow.key.source_port || filter.port == flow.key.destination_port) &&
           (!has(FLOWD_FILTER_PROTOCOL) || filter.protocol == flow.key.protocol) &&
           (!has(FLOWD_FILTER_NETWORK) || network.contains(Address(flow.key.source)) ||
            network.contains(Address(flow.key.destination)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    for (const auto of : {Filter::Of::flows, Filter::Of::events}) {
        const auto filter = Filter::parse(text, TagNames(Names()), of);
        if (!filter) {
            require(size > Filter::max_bytes || filter.error().message.starts_with("column "));
            require(!filter.error().hint.empty());
            require(printable(filter.error().message) == filter.error().message);
            continue;
        }
        flowd_flow flow{};
        flow.size = sizeof flow;
        std::memcpy(&flow.key, data, std::min(size, sizeof flow.key));
        flow.tag = {2, 2};
        flow.usage.bytes_sent = size;
        flow.application = flow.rule = flow.announcer = to_c(text);
        if (filter->matches(flow, static_cast<std::int64_t>(size))) require(core_passes(filter->members(), flow));
        flowd_observed observed{};
        observed.kind = FLOWD_OBSERVED_REFUSAL;
        observed.instance = to_c(text);
        (void)filter->matches(observed);
    }
    return 0;
}
