// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <string_view>

#include "backends/firefly/receive.hpp"
#include "backends/firefly/tools.hpp"
#include "flowd/address.hpp"
#include "flowd/json.hpp"
#include "lib/firefly/parser.hpp"
#include "lib/firefly/timestamp.hpp"

namespace flowd::firefly_backend {
namespace {

/// The reference collector drops datagrams without an RFC 5424 header with a time: "<134>1 TIME HOST NAME - firefly-json -
/// {".
[[nodiscard]] bool has_full_header(std::string_view text) {
    const auto word = [&text] {
        const auto blank = std::min(text.find(' '), text.size());
        const auto found = text.substr(0, blank);
        text.remove_prefix(std::min(blank + 1, text.size()));
        return found;
    };
    const std::string_view priority = word();
    if (!priority.starts_with('<') || !priority.ends_with(">1")) return false;
    if (!firefly::parse_timestamp(word())) return false;
    for (int i = 0; i < 5; ++i)
        if (word().empty()) return false;
    return text.starts_with('{');
}

[[nodiscard]] std::string_view word_of(firefly::State state) {
    constexpr std::array<std::string_view, 4> words{"", "start", "ongoing", "end"};
    return words[static_cast<std::size_t>(state)];
}

/// One datagram and the result of parsing it.
struct Heard {
    const net::Datagram& datagram;
    std::int64_t arrival_ns;
    firefly::Refusal refusal;
    const firefly::Firefly& firefly;

    [[nodiscard]] std::string_view state() const {
        return refusal == firefly::Refusal::none ? word_of(firefly.state) : std::string_view("refused");
    }
};

[[nodiscard]] bool is_wanted(const ListenOptions& options, const Heard& heard) {
    const auto is_in = [&](const Network& network) { return network.contains(heard.datagram.peer.address); };
    if (!options.from.empty() && std::none_of(options.from.begin(), options.from.end(), is_in)) return false;
    if (options.state && *options.state != heard.state()) return false;
    const bool has_tag = heard.refusal == firefly::Refusal::none;
    if (options.experiment && !(has_tag && heard.firefly.tag.experiment == *options.experiment)) return false;
    return !options.activity || (has_tag && heard.firefly.tag.activity == *options.activity);
}

[[nodiscard]] std::string name_or_number(std::string_view name, std::uint32_t number) {
    return name.empty() ? std::to_string(number) : std::string(name);
}

[[nodiscard]] std::string line_of(const Heard& heard, const Registry& registry) {
    const std::string begin = firefly::print_timestamp(heard.arrival_ns) + ' ' + heard.datagram.peer.to_string() + ' ' +
                              std::string(heard.state());
    if (heard.refusal != firefly::Refusal::none)
        return begin + " (" + std::string(firefly::name_of(heard.refusal)) +
               "): " + std::string(heard.datagram.payload.substr(0, 100));
    const firefly::Firefly& firefly = heard.firefly;
    return begin + (firefly.key.protocol == IPPROTO_TCP ? " tcp " : " udp ") + source_of(firefly.key).to_string() + " > " +
           destination_of(firefly.key).to_string() + ' ' +
           name_or_number(registry.experiment_name(firefly.tag.experiment), firefly.tag.experiment) + '/' +
           name_or_number(registry.activity_name(firefly.tag.experiment, firefly.tag.activity), firefly.tag.activity) +
           ' ' + std::string(firefly.application);
}

[[nodiscard]] std::string describe(const Heard& heard, const std::string& line) {
    std::string text;
    json::Writer writer(text);
    writer.object().member("from", heard.datagram.peer.to_string()).member("bytes", heard.datagram.payload.size());
    writer.member("understood", heard.refusal == firefly::Refusal::none);
    writer.member("fullHeader", has_full_header(heard.datagram.payload));
    if (heard.refusal == firefly::Refusal::none) {
        const firefly::Firefly& firefly = heard.firefly;
        writer.member("state", word_of(firefly.state));
        writer.member("source", source_of(firefly.key).to_string());
        writer.member("destination", destination_of(firefly.key).to_string());
        writer.member("protocol", firefly.key.protocol == IPPROTO_TCP ? "tcp" : "udp");
        writer.member("experiment", firefly.tag.experiment).member("activity", firefly.tag.activity);
        writer.member("application", firefly.application);
    } else {
        writer.member("refusal", firefly::name_of(heard.refusal));
    }
    writer.member("text", heard.datagram.payload).member("time", firefly::print_timestamp(heard.arrival_ns));
    if (!line.empty()) writer.member("line", line);
    writer.end();
    return text;
}

}  // namespace

const Table<ListenOptions>& ListenOptions::table() {
    using O = ListenOptions;
    static const Table<O> table{
        option("address", &O::address)
            .default_value("::")
            .doc("Address to receive at; \"::\" receives at all addresses, IPv4 included."),
        option("port", &O::port).range(1, 65535).default_value(firefly_port).doc("UDP port to receive at."),
        option("count", &O::count).default_value(0).doc("Ends after this number of datagrams; 0: no limit."),
        option("seconds", &O::seconds)
            .range(std::chrono::seconds(0), std::chrono::hours(24 * 365))
            .default_value("0s")
            .doc("Ends after this time, with an error if fewer than --count datagrams arrived; 0: no limit."),
        option("from", &O::from).length(0, 64).doc("Only datagrams from this network."),
        option("experiment", &O::experiment).experiment().doc("Only fireflies of this experiment."),
        option("activity", &O::activity).activity().doc("Only fireflies of this activity."),
        option("state", &O::state)
            .choices({"start", "ongoing", "end", "refused"})
            .doc("Only fireflies of this state, or what is no firefly."),
        option("full", &O::full).default_value(false).doc("Prints every detail instead of one line for each datagram."),
    };
    return table;
}

Result<void> listen_for_fireflies(ListenOptions options, ToolCall& call) {
    const auto registry = call.host().registry();
    firefly::Parser parser;
    const auto received = receive_datagrams(
        {{options.address, options.port}, options.count, options.seconds}, call, [&](const net::Datagram& datagram) {
            firefly::Firefly firefly;
            const auto refusal = datagram.truncated ? firefly::Refusal::truncated : parser.parse(datagram.payload, firefly);
            const Heard heard{datagram, unix_time_ns(), refusal, firefly};
            if (!is_wanted(options, heard)) return Taken::ignored;
            const std::string line = options.full ? std::string() : line_of(heard, registry);
            return call.print(describe(heard, line)) ? Taken::counted : Taken::stop;
        });
    if (!received) return received.error();
    if (received->by_user || received->counted >= options.count) return {};
    return Error{
        FLOWD_ERROR, std::to_string(received->counted) + " of " + std::to_string(options.count) + " datagrams arrived",
        "check that no firewall drops them: nft list ruleset, tcpdump -ni any udp port " + std::to_string(options.port)};
}

}  // namespace flowd::firefly_backend
