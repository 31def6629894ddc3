// SPDX-License-Identifier: Apache-2.0
#include <poll.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "backends/firefly/tools.hpp"
#include "flowd/address.hpp"
#include "flowd/json.hpp"
#include "lib/firefly/parser.hpp"
#include "lib/firefly/timestamp.hpp"
#include "lib/net/no_ipv6.hpp"
#include "lib/net/receive_batch.hpp"
#include "lib/net/udp_socket.hpp"

namespace flowd::firefly_backend {
namespace {

using Clock = std::chrono::steady_clock;

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

[[nodiscard]] std::string describe(const net::Datagram& datagram, firefly::Parser& parser) {
    firefly::Firefly firefly;
    const auto refusal = datagram.truncated ? firefly::Refusal::truncated : parser.parse(datagram.payload, firefly);
    std::string text;
    json::Writer writer(text);
    writer.object().member("from", datagram.peer.to_string()).member("bytes", datagram.payload.size());
    writer.member("understood", refusal == firefly::Refusal::none);
    writer.member("fullHeader", has_full_header(datagram.payload));
    if (refusal == firefly::Refusal::none) {
        writer.member("state", word_of(firefly.state));
        writer.member("source", source_of(firefly.key).to_string());
        writer.member("destination", destination_of(firefly.key).to_string());
        writer.member("protocol", firefly.key.protocol == IPPROTO_TCP ? "tcp" : "udp");
        writer.member("experiment", firefly.tag.experiment).member("activity", firefly.tag.activity);
        writer.member("application", firefly.application);
    } else {
        writer.member("refusal", firefly::name_of(refusal));
    }
    writer.member("text", datagram.payload).end();
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
    };
    return table;
}

Result<void> listen_for_fireflies(ListenOptions options, ToolCall& call) {
    const auto at = net::listening_endpoint({options.address, options.port});
    if (!at.warning.empty()) call.host().warning(at.warning);
    auto socket = net::UdpSocket::bound(at.endpoint, 4 << 20);
    if (!socket) return std::move(socket).error();
    call.host().info("receiving fireflies at " + at.endpoint.to_string());
    net::ReceiveBatch batch(64, 65535);
    firefly::Parser parser;
    std::uint32_t received = 0;
    const auto end = Clock::now() + options.seconds;
    std::array<pollfd, 2> wanted{{{socket->fd(), POLLIN, 0}, {call.interrupt_fd(), POLLIN, 0}}};
    while (options.count == 0 || received < options.count) {
        int timeout = -1;
        if (options.seconds.count() > 0) {
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
            if (left <= 0) break;
            timeout = static_cast<int>(std::min<std::int64_t>(left, 60'000));
        }
        (void)::poll(wanted.data(), wanted.size(), timeout);
        if (wanted[1].revents != 0) return {};
        auto datagrams = batch.receive(socket->fd());
        if (!datagrams) return std::move(datagrams).error();
        for (const net::Datagram& datagram : *datagrams) {
            if (options.count != 0 && received == options.count) break;
            ++received;
            if (!call.print(describe(datagram, parser))) return {};
        }
    }
    if (received < options.count)
        return Error{FLOWD_ERROR, std::to_string(received) + " of " + std::to_string(options.count) + " datagrams arrived",
                     "check that no firewall drops them: nft list ruleset, tcpdump -ni any udp port " +
                         std::to_string(options.port)};
    return {};
}

}  // namespace flowd::firefly_backend
