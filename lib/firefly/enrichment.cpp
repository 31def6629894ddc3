// SPDX-License-Identifier: Apache-2.0
#include "lib/firefly/enrichment.hpp"

#include <linux/tcp.h>

#include <array>
#include <string_view>
#include <utility>

#include "flowd/json.hpp"
#include "flowd/sized.hpp"
#include "lib/net/tcp_info.hpp"

namespace flowd::firefly {
namespace {

namespace tcp = net::tcp;

/// A member of struct tcp_info and its name in each mode. Empty: the mode omits it, or derives another member from it.
struct Row {
    net::TcpMember member;
    std::string_view full;             ///< flowd-go's name without a mode; the last five, of newer kernels, are flowd-cpp's
    std::string_view compatible = {};  ///< flowd's, which is the kernel's, for values that are passed on unchanged
    std::string_view lean = {};        ///< flowd-go's, its capital R included
};

constexpr std::array rows{
    Row{tcp::state, "state"},
    Row{tcp::ca_state, "caState", "ca_state"},
    Row{tcp::retransmits, "retransmits", "retransmits", "Retransmits"},
    Row{tcp::probes, "probes", "probes"},
    Row{tcp::backoff, "backoff", "backoff"},
    Row{tcp::options, "options"},
    Row{tcp::snd_wscale, "sndWscale", "snd_wscale"},
    Row{tcp::rcv_wscale, "rcvdWscale", "rcv_wscale"},
    Row{tcp::delivery_rate_app_limited, "deliveryRateAppLimited", "delivery_rate_app_limited"},
    Row{tcp::fastopen_client_fail, "fastOpenClientFail"},
    Row{tcp::rto, "rto"},
    Row{tcp::ato, "ato"},
    Row{tcp::snd_mss, "sndMss", "snd_mss", "sndMss"},
    Row{tcp::rcv_mss, "rcvMss", "rcv_mss"},
    Row{tcp::unacked, "unAcked", "unacked"},
    Row{tcp::sacked, "sAcked", "sacked"},
    Row{tcp::lost, "lost", "lost"},
    Row{tcp::retrans, "retrans", "retrans"},
    Row{tcp::fackets, "fAckets", "fackets"},
    Row{tcp::last_data_sent, "lastDataSent", "last_data_sent"},
    Row{tcp::last_ack_sent, "lastAckSent", "last_ack_sent"},
    Row{tcp::last_data_recv, "lastDataRecv", "last_data_recv"},
    Row{tcp::last_ack_recv, "lastAckRecv", "last_ack_recv"},
    Row{tcp::pmtu, "pMtu", "pmtu", "pMtu"},
    Row{tcp::rcv_ssthresh, "rcvSsThresh", "rcv_ssthresh"},
    Row{tcp::rtt, "rtt", {}, "rtt"},
    Row{tcp::rttvar, "rttVar", {}, "rttVar"},
    Row{tcp::snd_ssthresh, "sndSsThresh", {}, "sndSsThresh"},
    Row{tcp::snd_cwnd, "sndCwnd", "snd_cwnd", "sndCwnd"},
    Row{tcp::advmss, "advMss", "advmss", "advMss"},
    Row{tcp::reordering, "reordering", "reordering"},
    Row{tcp::rcv_rtt, "rcvRtt"},
    Row{tcp::rcv_space, "rcvSpace", "rcv_space"},
    Row{tcp::total_retrans, "totalRetrans", "total_retrans"},
    Row{tcp::pacing_rate, "pacingRate", "pacing_rate"},
    Row{tcp::max_pacing_rate, "maxPacingRate", "max_pacing_rate"},
    Row{tcp::bytes_acked, "bytesAcked", "bytes_acked"},
    Row{tcp::bytes_received, "bytesRecv", "bytes_received"},
    Row{tcp::segs_out, "segsOut", "segs_out"},
    Row{tcp::segs_in, "segsIn", "segs_in"},
    Row{tcp::notsent_bytes, "notsentBytes", "notsent_bytes"},
    Row{tcp::min_rtt, "minRtt", "min_rtt", "minRtt"},
    Row{tcp::data_segs_in, "dataSegsIn", "data_segs_in"},
    Row{tcp::data_segs_out, "dataSegsOut", "data_segs_out"},
    Row{tcp::delivery_rate, "deliveryRate", "delivery_rate", "deliveryRate"},
    Row{tcp::busy_time, "busyTime", "busy_time"},
    Row{tcp::rwnd_limited, "rwndLimited", "rwnd_limited"},
    Row{tcp::sndbuf_limited, "sndBufLimited", "sndbuf_limited"},
    Row{tcp::delivered, "delivered"},
    Row{tcp::delivered_ce, "deliveredCe"},
    Row{tcp::bytes_sent, "bytesSent", {}, "bytesSent"},
    Row{tcp::bytes_retrans, "bytesRetrans"},
    Row{tcp::dsack_dups, "dsAckDups"},
    Row{tcp::reord_seen, "reordSeen"},
    Row{tcp::rcv_ooopack, "rcvOooPack"},
    Row{tcp::snd_wnd, "sndWnd"},
    Row{tcp::rcv_wnd, "rcvWnd"},
    Row{tcp::rehash, "rehash"},
    Row{tcp::total_rto, "totalRto"},
    Row{tcp::total_rto_recoveries, "totalRtoRecoveries"},
    Row{tcp::total_rto_time, "totalRtoTime"},
};

/// The times that flowd converts from microseconds to milliseconds. rtt is the first member already.
constexpr std::array<std::pair<std::string_view, net::TcpMember>, 4> compatible_times{
    {{"rto", tcp::rto}, {"ato", tcp::ato}, {"rttvar", tcp::rttvar}, {"rcv_rtt", tcp::rcv_rtt}}};
/// The initial retransmission timeout (3 s), which ss(8) does not show and flowd writes as 0.
constexpr std::uint64_t initial_rto = 3'000'000;
/// From this value on, a slow start threshold is not set (TCP_INFINITE_SSTHRESH; ss(8) omits it): flowd writes 0.
constexpr std::uint64_t no_ssthresh = 0xffff;

/// The names of ss(8) and flowd by the number of a TCP state (include/net/tcp_states.h).
constexpr std::array<std::string_view, 13> state_names{
    "INVALID",     "established", "syn-sent", "syn-recv",  "fin-wait-1", "fin-wait-2",  "time-wait",
    "unconnected", "close-wait",  "last-ack", "listening", "closing",    "new-syn-recv"};

void add_rows(json::Writer& writer, flowd_bytes info, std::string_view Row::*name) {
    for (const Row& row : rows) {
        if ((row.*name).empty()) continue;
        if (const auto value = net::tcp_value(info, row.member)) writer.member(row.*name, *value);
    }
}

void add_congestion(json::Writer& writer, const flowd_sample& sample) {
    if (sample.congestion.length == 0) return;
    writer.key("cong").object().member("algorithm", to_view(sample.congestion)).end();
}

void add_nested(json::Writer& writer, const flowd_sample& sample, std::string_view Row::*name) {
    add_congestion(writer, sample);
    writer.key("tcpInfo").object();
    add_rows(writer, sample.tcp_info, name);
    writer.end();
}

void add_flat(json::Writer& writer, const flowd_sample& sample) {
    const flowd_bytes info = sample.tcp_info;
    if (const auto state = net::tcp_value(info, tcp::state))
        writer.member("state", *state < state_names.size() ? state_names[*state] : std::string_view("invalid"));
    for (const auto& [name, member] : compatible_times)
        if (const auto value = net::tcp_value(info, member))
            writer.member(name, *value == initial_rto ? 0.0 : static_cast<double>(*value) / 1000);
    if (const auto value = net::tcp_value(info, tcp::snd_ssthresh))
        writer.member("snd_ssthresh", *value < no_ssthresh ? *value : std::uint64_t{0});
    if (const auto value = net::tcp_value(info, tcp::options)) {
        constexpr std::array<std::pair<unsigned, std::string_view>, 3> names{
            {{TCPI_OPT_TIMESTAMPS, "ts"}, {TCPI_OPT_SACK, "sack"}, {TCPI_OPT_ECN, "ecn"}}};
        writer.key("opts").array();
        for (const auto& [bit, name] : names)
            if ((*value & bit) != 0) writer.value(name);
        writer.end();
    }
    add_rows(writer, info, &Row::compatible);
    if (sample.congestion.length != 0) writer.member("cong_algo", to_view(sample.congestion));
}

}  // namespace

std::string_view block_name(std::string_view source) {
    source = source.substr(0, source.find('/'));  // "netlink/second" is an instance of netlink
    return source == "skops" ? "skOps" : source;
}

std::optional<NormalBlock> sample_block(const flowd_sample& sample, Verbosity verbosity) {
    if (sample.tcp_info.length == 0) return std::nullopt;
    NormalBlock block;
    if (const auto rtt = net::rtt_us(sample.tcp_info)) block.rtt_ms = *rtt / 1000.0;
    json::Writer writer(block.json);
    writer.object();
    if (block.rtt_ms) writer.member("rtt", *block.rtt_ms);
    switch (verbosity) {
        case Verbosity::lean:
            add_nested(writer, sample, &Row::lean);
            break;
        case Verbosity::full:
            add_nested(writer, sample, &Row::full);
            break;
        case Verbosity::compatible:
            add_flat(writer, sample);
            break;
    }
    writer.end();
    return block;
}

}  // namespace flowd::firefly
