// SPDX-License-Identifier: Apache-2.0
#include "lib/firefly/enrichment.hpp"

#include <linux/tcp.h>

#include <array>
#include <span>
#include <utility>

#include "flowd/json.hpp"
#include "flowd/sized.hpp"
#include "lib/net/tcp_info.hpp"

namespace flowd::firefly {
namespace {

namespace tcp = net::tcp;

struct Row {
    std::string_view name;
    net::TcpMember member;
};

/// flowd-go's lean names, its capital R included.
constexpr std::array lean_rows{Row{"Retransmits", tcp::retransmits},
                               Row{"sndMss", tcp::snd_mss},
                               Row{"pMtu", tcp::pmtu},
                               Row{"rtt", tcp::rtt},
                               Row{"rttVar", tcp::rttvar},
                               Row{"sndSsThresh", tcp::snd_ssthresh},
                               Row{"sndCwnd", tcp::snd_cwnd},
                               Row{"advMss", tcp::advmss},
                               Row{"minRtt", tcp::min_rtt},
                               Row{"bytesSent", tcp::bytes_sent},
                               Row{"deliveryRate", tcp::delivery_rate}};

/// flowd-go's names without a mode; the last five, of newer kernels, are ours.
constexpr std::array full_rows{Row{"state", tcp::state},
                               Row{"caState", tcp::ca_state},
                               Row{"retransmits", tcp::retransmits},
                               Row{"probes", tcp::probes},
                               Row{"backoff", tcp::backoff},
                               Row{"options", tcp::options},
                               Row{"sndWscale", tcp::snd_wscale},
                               Row{"rcvdWscale", tcp::rcv_wscale},
                               Row{"deliveryRateAppLimited", tcp::delivery_rate_app_limited},
                               Row{"fastOpenClientFail", tcp::fastopen_client_fail},
                               Row{"rto", tcp::rto},
                               Row{"ato", tcp::ato},
                               Row{"sndMss", tcp::snd_mss},
                               Row{"rcvMss", tcp::rcv_mss},
                               Row{"unAcked", tcp::unacked},
                               Row{"sAcked", tcp::sacked},
                               Row{"lost", tcp::lost},
                               Row{"retrans", tcp::retrans},
                               Row{"fAckets", tcp::fackets},
                               Row{"lastDataSent", tcp::last_data_sent},
                               Row{"lastAckSent", tcp::last_ack_sent},
                               Row{"lastDataRecv", tcp::last_data_recv},
                               Row{"lastAckRecv", tcp::last_ack_recv},
                               Row{"pMtu", tcp::pmtu},
                               Row{"rcvSsThresh", tcp::rcv_ssthresh},
                               Row{"rtt", tcp::rtt},
                               Row{"rttVar", tcp::rttvar},
                               Row{"sndSsThresh", tcp::snd_ssthresh},
                               Row{"sndCwnd", tcp::snd_cwnd},
                               Row{"advMss", tcp::advmss},
                               Row{"reordering", tcp::reordering},
                               Row{"rcvRtt", tcp::rcv_rtt},
                               Row{"rcvSpace", tcp::rcv_space},
                               Row{"totalRetrans", tcp::total_retrans},
                               Row{"pacingRate", tcp::pacing_rate},
                               Row{"maxPacingRate", tcp::max_pacing_rate},
                               Row{"bytesAcked", tcp::bytes_acked},
                               Row{"bytesRecv", tcp::bytes_received},
                               Row{"segsOut", tcp::segs_out},
                               Row{"segsIn", tcp::segs_in},
                               Row{"notsentBytes", tcp::notsent_bytes},
                               Row{"minRtt", tcp::min_rtt},
                               Row{"dataSegsIn", tcp::data_segs_in},
                               Row{"dataSegsOut", tcp::data_segs_out},
                               Row{"deliveryRate", tcp::delivery_rate},
                               Row{"busyTime", tcp::busy_time},
                               Row{"rwndLimited", tcp::rwnd_limited},
                               Row{"sndBufLimited", tcp::sndbuf_limited},
                               Row{"delivered", tcp::delivered},
                               Row{"deliveredCe", tcp::delivered_ce},
                               Row{"bytesSent", tcp::bytes_sent},
                               Row{"bytesRetrans", tcp::bytes_retrans},
                               Row{"dsAckDups", tcp::dsack_dups},
                               Row{"reordSeen", tcp::reord_seen},
                               Row{"rcvOooPack", tcp::rcv_ooopack},
                               Row{"sndWnd", tcp::snd_wnd},
                               Row{"rcvWnd", tcp::rcv_wnd},
                               Row{"rehash", tcp::rehash},
                               Row{"totalRto", tcp::total_rto},
                               Row{"totalRtoRecoveries", tcp::total_rto_recoveries},
                               Row{"totalRtoTime", tcp::total_rto_time}};

/// flowd's names, which are the kernel's, for what it passes on as the kernel gives it.
constexpr std::array compatible_rows{Row{"pmtu", tcp::pmtu},
                                     Row{"retrans", tcp::retrans},
                                     Row{"snd_wscale", tcp::snd_wscale},
                                     Row{"rcv_wscale", tcp::rcv_wscale},
                                     Row{"snd_mss", tcp::snd_mss},
                                     Row{"rcv_mss", tcp::rcv_mss},
                                     Row{"snd_cwnd", tcp::snd_cwnd},
                                     Row{"rcv_space", tcp::rcv_space},
                                     Row{"rcv_ssthresh", tcp::rcv_ssthresh},
                                     Row{"last_data_sent", tcp::last_data_sent},
                                     Row{"last_ack_sent", tcp::last_ack_sent},
                                     Row{"last_data_recv", tcp::last_data_recv},
                                     Row{"last_ack_recv", tcp::last_ack_recv},
                                     Row{"segs_in", tcp::segs_in},
                                     Row{"segs_out", tcp::segs_out},
                                     Row{"data_segs_in", tcp::data_segs_in},
                                     Row{"data_segs_out", tcp::data_segs_out},
                                     Row{"lost", tcp::lost},
                                     Row{"notsent_bytes", tcp::notsent_bytes},
                                     Row{"pacing_rate", tcp::pacing_rate},
                                     Row{"max_pacing_rate", tcp::max_pacing_rate},
                                     Row{"retransmits", tcp::retransmits},
                                     Row{"min_rtt", tcp::min_rtt},
                                     Row{"rwnd_limited", tcp::rwnd_limited},
                                     Row{"sndbuf_limited", tcp::sndbuf_limited},
                                     Row{"busy_time", tcp::busy_time},
                                     Row{"probes", tcp::probes},
                                     Row{"reordering", tcp::reordering},
                                     Row{"bytes_received", tcp::bytes_received},
                                     Row{"bytes_acked", tcp::bytes_acked},
                                     Row{"fackets", tcp::fackets},
                                     Row{"unacked", tcp::unacked},
                                     Row{"sacked", tcp::sacked},
                                     Row{"delivery_rate_app_limited", tcp::delivery_rate_app_limited},
                                     Row{"delivery_rate", tcp::delivery_rate},
                                     Row{"ca_state", tcp::ca_state},
                                     Row{"total_retrans", tcp::total_retrans},
                                     Row{"advmss", tcp::advmss},
                                     Row{"backoff", tcp::backoff}};

/// And the times for which it turns the kernel's microseconds into milliseconds. rtt is in front already.
constexpr std::array compatible_times{Row{"rto", tcp::rto}, Row{"ato", tcp::ato}, Row{"rttvar", tcp::rttvar},
                                      Row{"rcv_rtt", tcp::rcv_rtt}};
/// A retransmission timeout that was never computed (3 s); ss(8) does not show it, flowd writes 0.
constexpr std::uint64_t initial_rto = 3'000'000;
/// From here on a slow start threshold is none (TCP_INFINITE_SSTHRESH, and what ss(8) leaves out): flowd writes 0.
constexpr std::uint64_t no_ssthresh = 0xffff;

/// By the number of a TCP state (include/net/tcp_states.h), as ss(8) and flowd call them.
constexpr std::array<std::string_view, 13> state_names{
    "INVALID",     "established", "syn-sent", "syn-recv",  "fin-wait-1", "fin-wait-2",  "time-wait",
    "unconnected", "close-wait",  "last-ack", "listening", "closing",    "new-syn-recv"};

void add_rows(json::Writer& writer, flowd_bytes info, std::span<const Row> rows) {
    for (const Row& row : rows)
        if (const auto value = net::tcp_value(info, row.member)) writer.member(row.name, *value);
}

void add_congestion(json::Writer& writer, const flowd_sample& sample) {
    if (sample.congestion.length == 0) return;
    writer.key("cong").object().member("algorithm", to_view(sample.congestion)).end();
}

void add_nested(json::Writer& writer, const flowd_sample& sample, std::span<const Row> rows) {
    add_congestion(writer, sample);
    writer.key("tcpInfo").object();
    add_rows(writer, sample.tcp_info, rows);
    writer.end();
}

void add_flat(json::Writer& writer, const flowd_sample& sample) {
    const flowd_bytes info = sample.tcp_info;
    if (const auto state = net::tcp_value(info, tcp::state))
        writer.member("state", *state < state_names.size() ? state_names[*state] : std::string_view("invalid"));
    for (const Row& row : compatible_times)
        if (const auto value = net::tcp_value(info, row.member))
            writer.member(row.name, *value == initial_rto ? 0.0 : static_cast<double>(*value) / 1000);
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
    add_rows(writer, info, compatible_rows);
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
            add_nested(writer, sample, lean_rows);
            break;
        case Verbosity::full:
            add_nested(writer, sample, full_rows);
            break;
        case Verbosity::compatible:
            add_flat(writer, sample);
            break;
    }
    writer.end();
    return block;
}

}  // namespace flowd::firefly
