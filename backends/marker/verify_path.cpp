// SPDX-License-Identifier: Apache-2.0
// `flowd-cpp marker verify-path`: the flow label of a packet at each router on the way to a host. A router that drops a
// packet because of its hop limit quotes the packet as it received it (RFC 4443 section 3.3), flow label included.
#include <netdb.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "backends/marker/capture.hpp"
#include "backends/marker/told.hpp"
#include "backends/marker/verify.hpp"
#include "backends/marker/wire.hpp"
#include "flowd/address.hpp"
#include "flowd/label.hpp"
#include "lib/bpf/flow_key.hpp"

namespace flowd::marker {
namespace {

/// IPV6_FLOWINFO_SEND of linux/in6.h, which does not define it if netinet/in.h was included before.
constexpr int flowinfo_send = 33;

using Clock = std::chrono::steady_clock;

// Flows differ in the source port, and thus in the entropy bits of the label: ECMP may choose different paths for them.
constexpr std::size_t flow_count = 3;
constexpr int attempts = 3;          // per flow and hop: routers limit the rate of ICMPv6 errors
constexpr int errors_at_once = 256;  // others may send more than can be read
constexpr unsigned silent_hops = 6;  // in a row, after which the search ends
// The UDP length of a packet encodes its hop limit: routers quote it, and do not use it for load balancing.
constexpr std::size_t least_payload = 16;
constexpr std::size_t udp_header = 8;
constexpr flowd_tag default_tag{1, 1};  // default, default

struct PathOptions {
    std::string to;
    std::uint16_t port = 33434;
    std::uint32_t hops = 30;
    std::chrono::milliseconds wait{1000};

    static const Table<PathOptions>& table() {
        using O = PathOptions;
        static const Table<PathOptions> table{
            option("to", &O::to).required().length(1, 255).doc("Name or IPv6 address of the host."),
            option("port", &O::port).range(1, 65535).default_value(33434).doc("UDP port of the packets."),
            option("hops", &O::hops).range(1, 64).default_value(30).doc("Maximum number of hops."),
            option("wait", &O::wait)
                .range(std::chrono::milliseconds(50), std::chrono::seconds(10))
                .default_value("1s")
                .doc("How long to wait for answers before a packet is repeated; each is sent up to three times."),
        };
        return table;
    }
};

std::string text_of(std::uint32_t label) {
    std::array<char, 16> text{};
    std::snprintf(text.data(), text.size(), "0x%05x", label);
    return text.data();
}

Result<sockaddr_in6> resolve(const std::string& host, std::uint16_t port) {
    addrinfo hints{};
    hints.ai_family = AF_INET6;
    hints.ai_socktype = SOCK_DGRAM;
    addrinfo* list = nullptr;
    if (const int error = ::getaddrinfo(host.c_str(), nullptr, &hints, &list); error != 0)
        return Error{FLOWD_NOT_FOUND, host + " has no IPv6 address: " + ::gai_strerror(error),
                     "only IPv6 packets have a flow label; name a host that has IPv6"};
    sockaddr_in6 found{};
    std::memcpy(&found, list->ai_addr, sizeof found);
    ::freeaddrinfo(list);
    found.sin6_port = htons(port);
    const in6_addr& address = found.sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&address))
        return Error{FLOWD_INVALID, host + " is an IPv4 address",
                     "only IPv6 packets have a flow label; name a host that has IPv6"};
    if (IN6_IS_ADDR_MULTICAST(&address) || IN6_IS_ADDR_UNSPECIFIED(&address))
        return Error{FLOWD_INVALID, host + " is not the address of a host", "name a host, or its address"};
    if (IN6_IS_ADDR_LINKLOCAL(&address) && found.sin6_scope_id == 0)
        return Error{FLOWD_INVALID, host + " is a link-local address without its interface",
                     "write it as " + host + "%eth0"};
    return found;
}

/// Why a packet does not reach its destination (RFC 4443 section 3.1).
const char* text_of_unreachable(std::uint8_t code) {
    static constexpr std::array<const char*, 7> texts{
        "no route",         "prohibited",        "beyond scope",       "address unreachable",
        "port unreachable", "refused by policy", "rejected by a route"};
    return code < texts.size() ? texts[code] : "unreachable";
}

struct Answer {
    Address router;
    std::uint32_t label;
    std::uint8_t type, code;  ///< of the ICMPv6 error

    /// From the destination, or a router that does not forward the packet.
    [[nodiscard]] bool is_end() const { return type == ICMP6_DST_UNREACH; }
    /// Another address of the destination may have answered.
    [[nodiscard]] bool is_of(const Address& destination) const {
        return is_end() && (router == destination || code == ICMP6_DST_UNREACH_NOPORT);
    }
};

/// The packets of one flow, each with the same label.
struct ProbeFlow {
    UniqueFd fd;
    Address source = {};
    std::uint16_t source_port = 0;
    std::uint32_t label = 0;  ///< as it left this host
    std::map<unsigned, Answer> answers = {};

    /// `told` supplies the tag: that of the catch-all, with which the marker marks these packets.
    [[nodiscard]] static Result<ProbeFlow> open(sockaddr_in6 to, const Told& told) {
        ProbeFlow flow{UniqueFd(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0))};
        const auto connect = [&] {
            return ::connect(flow.fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
        };
        sockaddr_in6 from{};
        socklen_t size = sizeof from;
        const int on = 1;
        // Connected twice: the label depends on the source address and port, which the first connect() chooses.
        if (!connect() || ::getsockname(flow.fd.get(), reinterpret_cast<sockaddr*>(&from), &size) != 0 ||
            ::setsockopt(flow.fd.get(), IPPROTO_IPV6, flowinfo_send, &on, sizeof on) != 0)
            return Error::from_errno(errno, "no packet can be sent there");
        const flow_key key = bpf::to_flow_key(make_key({Address(from.sin6_addr), ntohs(from.sin6_port)},
                                                       {Address(to.sin6_addr), ntohs(to.sin6_port)}, IPPROTO_UDP));
        flow.source = Address(from.sin6_addr);
        flow.source_port = ntohs(from.sin6_port);
        flow.label = told.catch_all_label(key).value_or(*label::encode(default_tag, flow_entropy(flow_hash(&key))));
        to.sin6_flowinfo = htonl(flow.label);
        if (!connect()) return Error::from_errno(errno, "no packet with a flow label can be sent there");
        return flow;
    }

    void send(unsigned hop) const {
        static constexpr std::array<char, least_payload + 64> payload{};
        const int limit = static_cast<int>(hop);
        (void)::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_UNICAST_HOPS, &limit, sizeof limit);
        // The first call may return the error that an earlier packet caused; then it sends nothing.
        if (::send(fd.get(), payload.data(), least_payload + hop, 0) < 0)
            (void)::send(fd.get(), payload.data(), least_payload + hop, 0);
    }
};

class Path {
  public:
    Path(PathOptions options, ToolCall& call, const Options& config)
        : options_(std::move(options)), call_(call), told_(call.host(), config) {}

    Result<void> run() {
        if (auto done = told_.look(); !done) return done;
        auto to = resolve(options_.to, options_.port);
        if (!to) return std::move(to).error();
        to_ = Address(to->sin6_addr);
        auto leaving = Capture::open(0);
        if (!leaving) return std::move(leaving).error();
        errors_ = UniqueFd(::socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMPV6));
        if (!errors_) return Error::from_errno(errno, "ICMPv6 errors cannot be received");
        icmp6_filter filter{};
        ICMP6_FILTER_SETBLOCKALL(&filter);
        ICMP6_FILTER_SETPASS(ICMP6_TIME_EXCEEDED, &filter);
        ICMP6_FILTER_SETPASS(ICMP6_DST_UNREACH, &filter);
        if (::setsockopt(errors_.get(), IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter) != 0)
            return Error::from_errno(errno, "filtering ICMPv6 errors");
        for (std::size_t i = 0; i < flow_count; ++i) {
            auto flow = ProbeFlow::open(*to, told_);
            if (!flow) return std::move(flow).error();
            flows_.push_back(std::move(*flow));
        }
        unsigned silent = 0;
        for (last_ = 1; last_ <= options_.hops && silent < silent_hops && !is_over_; ++last_) {
            silent = probe(last_, *leaving) ? 0 : silent + 1;
            if (interrupted_) return {};
        }
        last_ -= 1 + (is_over_ ? 0 : silent);
        // Where this host answers itself, it does so late, for several hop limits.
        for (const ProbeFlow& flow : flows_)
            for (const auto& [hop, answer] : flow.answers)
                if (answer.is_end()) last_ = std::min(last_, hop);
        return {};
    }

    void print() {
        write_row(0, "this host", flows_.size(), labels([](const ProbeFlow& flow) { return flow.label; }), "as sent");
        for (unsigned hop = 1; hop <= last_; ++hop) write(hop);
        if (last_ == 0)
            report_.add({FLOWD_LEVEL_WARNING, "marker-path-silent", options_.to,
                         "no router answered: the label cannot be followed", "ICMPv6 time exceeded from each router",
                         "check that no firewall drops ICMPv6, here and on the way"});
        find_change();
        find_end();
        call_.print(report_.to_string());
    }

  private:
    /// False: no answer.
    bool probe(unsigned hop, const Capture& leaving) {
        const auto lacks = [hop](const ProbeFlow& flow) { return !flow.answers.contains(hop); };
        for (int attempt = 0; attempt < attempts && std::any_of(flows_.begin(), flows_.end(), lacks); ++attempt) {
            for (const ProbeFlow& flow : flows_)
                if (lacks(flow)) flow.send(hop);
            const auto end = Clock::now() + options_.wait;
            while (std::any_of(flows_.begin(), flows_.end(), lacks)) {
                const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
                std::array<pollfd, 2> wanted{{{errors_.get(), POLLIN, 0}, {call_.interrupt_fd(), POLLIN, 0}}};
                if (left <= 0 || ::poll(wanted.data(), wanted.size(), static_cast<int>(left)) <= 0) break;
                if (wanted[1].revents != 0) {
                    interrupted_ = true;
                    return false;
                }
                read_errors();
            }
            leaving.read([this](std::span<const std::uint8_t> bytes) { note_leaving(bytes); });
        }
        return !std::all_of(flows_.begin(), flows_.end(), lacks);
    }

    ProbeFlow* flow_of(const std::optional<WirePacket>& packet) {
        if (!packet || packet->protocol != IPPROTO_UDP || packet->destination != to_.bytes() ||
            packet->destination_port != options_.port)
            return nullptr;
        const auto found = std::find_if(flows_.begin(), flows_.end(), [&](const ProbeFlow& flow) {
            return flow.source_port == packet->source_port && flow.source.bytes() == packet->source;
        });
        return found == flows_.end() ? nullptr : &*found;
    }

    /// Captured after all hooks: the label that a program has written is the one that counts.
    void note_leaving(std::span<const std::uint8_t> bytes) {
        const auto packet = read_ipv6(bytes);
        if (ProbeFlow* const flow = flow_of(packet)) flow->label = packet->label;
    }

    /// A message may come from anybody: it counts if it quotes a packet that was sent.
    void read_errors() {
        std::array<std::uint8_t, 1500> bytes;
        sockaddr_in6 from{};
        socklen_t size = sizeof from;
        for (int i = 0; i < errors_at_once; ++i, size = sizeof from) {
            const auto got =
                ::recvfrom(errors_.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
            if (got < 0) return;
            const auto error = read_error({bytes.data(), static_cast<std::size_t>(got)});
            ProbeFlow* const flow = error ? flow_of(error->packet) : nullptr;
            if (flow == nullptr || error->packet.transport_length <= udp_header + least_payload) continue;
            const auto hop = static_cast<unsigned>(error->packet.transport_length - (udp_header + least_payload));
            if (hop > last_) continue;
            const Answer answer{Address(from.sin6_addr), error->packet.label, error->type, error->code};
            flow->answers.try_emplace(hop, answer);
            is_over_ = is_over_ || answer.is_end();
        }
    }

    /// The distinct labels, in the order of the flows.
    template <typename Of>
    std::string labels(Of of) const {
        std::vector<std::string> all;
        for (const ProbeFlow& flow : flows_) {
            const std::optional<std::uint32_t> label = of(flow);
            if (label && std::find(all.begin(), all.end(), text_of(*label)) == all.end()) all.push_back(text_of(*label));
        }
        std::string text;
        for (const std::string& one : all) text += (text.empty() ? "" : ", ") + one;
        return text;
    }

    void write_row(unsigned hop, const std::string& router, std::size_t answers, const std::string& label,
                   const std::string& state) {
        json::Writer& row = report_.row().member("hop", hop).member("router", router).member("flows", answers);
        row.member("label", label).member("state", state).end();
    }

    /// One row for each router that answered at this hop: several where the paths of the flows part (ECMP).
    void write(unsigned hop) {
        std::map<Address, std::vector<const ProbeFlow*>> routers;
        for (const ProbeFlow& flow : flows_)
            if (const auto found = flow.answers.find(hop); found != flow.answers.end())
                routers[found->second.router].push_back(&flow);
        if (routers.empty()) return write_row(hop, "silent", 0, "", "no answer");
        std::size_t number = 0;
        for (const auto& [router, flows] : routers) {
            const bool is_changed = std::any_of(flows.begin(), flows.end(), [hop](const ProbeFlow* flow) {
                return flow->answers.at(hop).label != flow->label;
            });
            std::string state = is_changed ? "changed" : "unchanged";
            if (routers.size() > 1) state += ", path " + std::to_string(++number) + " of " + std::to_string(routers.size());
            const Answer& first = flows.front()->answers.at(hop);
            if (router == to_ || first.is_of(to_)) state += ", destination";
            if (first.is_end() && first.code != ICMP6_DST_UNREACH_NOPORT)
                state += std::string(", ") + text_of_unreachable(first.code);
            const Address& here = router;
            const auto seen = [hop, &here](const ProbeFlow& flow) -> std::optional<std::uint32_t> {
                const auto found = flow.answers.find(hop);
                if (found == flow.answers.end() || found->second.router != here) return std::nullopt;
                return found->second.label;
            };
            write_row(hop, router.to_string(), flows.size(), labels(seen), state);
        }
    }

    void find_change() {
        const auto name = [](unsigned hop, const Answer& answer) {
            return "hop " + std::to_string(hop) + " (" + answer.router.to_string() + ")";
        };
        for (unsigned hop = 1; hop <= last_; ++hop)
            for (const ProbeFlow& flow : flows_) {
                const auto seen = flow.answers.find(hop);
                if (seen == flow.answers.end() || seen->second.label == flow.label) continue;
                const auto before = seen == flow.answers.begin() ? flow.answers.end() : std::prev(seen);
                const std::string from = before == flow.answers.end() ? "this host" : name(before->first, before->second);
                return report_.add({FLOWD_LEVEL_ERROR, "marker-path-label-changed", options_.to,
                                    "the flow label left as " + text_of(flow.label) + " and arrived at " +
                                        name(hop, seen->second) + " as " + text_of(seen->second.label) +
                                        "; it was unchanged until " + from,
                                    "routers do not change flow labels (RFC 6437 section 3)",
                                    "ask the operator of " + from + " or of " + name(hop, seen->second)});
            }
    }

    /// That the host was not reached.
    void find_end() {
        if (last_ == 0 || interrupted_) return;
        const Answer* latest = nullptr;
        for (const ProbeFlow& flow : flows_)
            for (const auto& [hop, answer] : flow.answers) {
                if (hop > last_) break;
                if (answer.router == to_ || answer.is_of(to_)) return;
                if (hop == last_ && (latest == nullptr || answer.is_end())) latest = &answer;
            }
        if (latest == nullptr) return;
        const std::string who = "hop " + std::to_string(last_) + " (" + latest->router.to_string() + ")";
        if (latest->is_end())
            return report_.add({FLOWD_LEVEL_WARNING, "marker-path-unreachable", options_.to,
                                who + " reports that the host is not reachable: " + text_of_unreachable(latest->code),
                                "packets reach the host", "look at the address and the routes: ip -6 route get"});
        report_.add({FLOWD_LEVEL_INFO, "marker-path-not-reached", options_.to,
                     "the host did not answer: the label is known up to " + who, "ICMPv6 port unreachable from the host",
                     "name with --port a UDP port that is closed on the host and that firewalls let pass"});
    }

    PathOptions options_;
    ToolCall& call_;
    Told told_;
    Address to_;
    UniqueFd errors_;
    std::vector<ProbeFlow> flows_;
    unsigned last_ = 0;
    bool is_over_ = false, interrupted_ = false;
    Verification report_;
};

Result<void> verify_path(PathOptions options, ToolCall& call) {
    auto config = call.config<Options>();
    if (!config) return std::move(config).error();
    Path path(std::move(options), call, config->value_or(Options()));
    if (auto done = path.run(); !done) return done;
    path.print();
    return {};
}

}  // namespace

Tool verify_path_tool() {
    return tool<&verify_path>("verify-path", "Shows the flow label at each router on the way to a host.");
}

}  // namespace flowd::marker
