// SPDX-License-Identifier: Apache-2.0
#include "plugins/netlink/enricher.hpp"

#include <linux/inet_diag.h>
#include <netinet/in.h>

#include <array>
#include <utility>

#include "lib/net/tcp_info.hpp"
#include "plugins/netlink/host_ids.hpp"

namespace flowd::netlink {
namespace {

constexpr std::uint8_t used_extensions = diag::extension_bit(INET_DIAG_INFO) | diag::extension_bit(INET_DIAG_CONG);

std::string_view module_of(const EnricherOptions& options) {
    return options.protocol == IPPROTO_UDP ? "udp_diag" : "tcp_diag";
}

}  // namespace

const Table<EnricherOptions>& EnricherOptions::table() {
    using O = EnricherOptions;
    static const Table<O> table{
        option("protocol", &O::protocol).default_value(6).doc("Protocol of the dumped sockets: 6 is TCP, 17 is UDP."),
        option("ext", &O::extensions)
            .default_value(255)
            .doc(
                "Requested attributes of each socket: bits 1 << (INET_DIAG_* - 1) of linux/inet_diag.h. Those that are not "
                "used, all but INET_DIAG_INFO and INET_DIAG_CONG, are not requested."),
        option("state", &O::states)
            .default_value(3071)
            .doc("Requested socket states: bits 1 << TCP_* of include/net/tcp_states.h; 3071 is all but listening ones. "
                 "Those "
                 "of sockets without an owner, such as TIME_WAIT, are not requested."),
    };
    return table;
}

void NetlinkEnricher::validate(const Options& options, Problems& problems) {
    if (options.protocol != IPPROTO_TCP && options.protocol != IPPROTO_UDP)
        problems.error("protocol", "sock_diag knows TCP and UDP", "write 6 for TCP or 17 for UDP");
    else if (options.protocol == IPPROTO_UDP)
        problems.warning("protocol", "the kernel keeps no TCP information of UDP sockets: samples have their cookie only",
                         "write 6 for TCP");
    else if ((options.extensions & diag::extension_bit(INET_DIAG_INFO)) == 0)
        problems.warning("ext", "lacks INET_DIAG_INFO (2): samples will have no TCP information",
                         "remove the line: 255 asks for everything");
    if ((options.states & diag::connected_states()) == 0)
        problems.error("state", "matches no connection", "remove the line: 3071 is all but listening sockets");
}

NetlinkEnricher::NetlinkEnricher(Host& host, Options options)
    : Enricher(host),
      options_(options),
      index_(gone_after),
      counters_(host,
                {
                    {"dumps", &dumps_},
                    {"failures", "netlink_dump_failures_total", "Dumps of the kernel's sockets that failed.", &failures_},
                    {"samples", "netlink_samples_total", "Samples of live flows taken by sock_diag.", &samples_},
                    {"gone", &gone_},
                    {"", "netlink_sockets", "Sockets in the last dump.", &sockets_},
                }) {}

Result<void> NetlinkEnricher::prepare() {
    auto socket = diag::Socket::open();
    if (!socket) return std::move(socket).error();
    socket_ = *std::move(socket);
    return {};
}

std::vector<Finding> NetlinkEnricher::findings() const {
    std::vector<Finding> all;
    if (streak_.is_failing()) host_ids.add_features(all, std::array{module_of(options_)});
    return all;
}

std::vector<Finding> NetlinkEnricher::host_findings(const Options& options, const Offline&) {
    std::vector<Finding> all;
    host_ids.add_features(all, std::array{module_of(options)});
    return all;
}

void NetlinkEnricher::sample(const FlowBatch& flows, bool last, Samples& samples) {
    if (!std::exchange(collecting_, true)) index_.begin();
    index_.add(flows);
    if (!last) return;
    collecting_ = false;
    take_dump(samples);
}

void NetlinkEnricher::take_dump(Samples& samples) {
    const auto began = std::chrono::steady_clock::now();
    const std::int64_t now = unix_time_ns();
    bool complete = true;
    sockets_ = 0;
    if (index_.flows() > 0) {
        ++dumps_;
        // Sockets in TIME_WAIT and connection requests have no TCP information, and no owner.
        const diag::DumpRequest request{options_.protocol, static_cast<std::uint8_t>(options_.extensions & used_extensions),
                                        options_.states & diag::connected_states()};
        const auto dumped = socket_->dump(request, [&](const diag::Connection& socket) { add(socket, now, samples); });
        complete = dumped.ok();
        if (!complete) {
            ++failures_;
            last_error_ = dumped.error().message;
            streak_.failed(last_error_);
        } else {
            streak_.worked();
        }
    }
    const auto ended = std::chrono::steady_clock::now();
    // Flows of other protocols have no TCP socket here, so they cannot be missing.
    index_.finish(complete, ended, [&](std::uint64_t flow_id) {
        flowd_sample sample{};
        sample.flow_id = flow_id;
        sample.time_ns = now;
        sample.flags = FLOWD_SAMPLE_GONE;
        samples.add(sample);
        ++gone_;
    });
    last_dump_ = std::chrono::duration_cast<std::chrono::microseconds>(ended - began);
    counters_.publish();
}

void NetlinkEnricher::add(const diag::Connection& connection, std::int64_t now, Samples& samples) {
    ++sockets_;
    const auto claim = index_.claim({connection.key(), connection.cookie});
    if (!claim) return;

    flowd_sample sample{};
    sample.flow_id = claim->flow_id;
    sample.time_ns = now;
    sample.tcp_info = connection.tcp_info;
    sample.congestion = to_c(connection.congestion);
    sample.cookie = connection.cookie;
    sample.tcp_state = connection.state;
    if (const auto usage = net::tcp_usage(connection.tcp_info)) claim->give_usage(*usage, sample);
    samples.add(sample);
    ++samples_;
}

void NetlinkEnricher::status(json::Writer& object) const {
    object.member("summary", index_.summary());
    counters_.status(object);
    object.key("lastPeriod").object();
    object.member("flows", index_.flows()).member("matched", index_.matched()).member("sockets", sockets_);
    object.member("otherConnections", index_.other_connections());
    object.member("seconds", std::chrono::duration<double>(last_dump_).count());
    object.end();
    if (!last_error_.empty()) object.member("lastError", last_error_);
}

}  // namespace flowd::netlink
