// SPDX-License-Identifier: Apache-2.0
// `flowd-cpp marker verify`: compares what outgoing packets carry with the flows of the running daemon.
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "backends/marker/capture.hpp"
#include "backends/marker/told.hpp"
#include "backends/marker/verify.hpp"
#include "backends/marker/wire.hpp"
#include "flowd/address.hpp"
#include "flowd/protocol.hpp"

namespace flowd::marker {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t max_different = 65536;        // flows and marks of an interface
constexpr std::chrono::milliseconds settling{300};  // the daemon lists a flow shortly before the marker enters it
constexpr std::chrono::milliseconds tick{100};
constexpr std::uint16_t discard_port = 9;  // RFC 863

struct VerifyOptions {
    std::chrono::seconds seconds{5};
    bool probe = false;

    static const Table<VerifyOptions>& table() {
        using O = VerifyOptions;
        static const Table<VerifyOptions> table{
            option("seconds", &O::seconds)
                .range(std::chrono::seconds(1), std::chrono::hours(1))
                .default_value("5s")
                .doc("How long to look at the packets that leave."),
            option("probe", &O::probe)
                .default_value(false)
                .doc("Sends UDP datagrams to ff02::1, port 9, on interfaces without IPv6 traffic."),
        };
        return table;
    }
};

/// The addresses of this host, and the interfaces that have an IPv6 address.
struct OwnAddresses {
    // The unspecified addresses are own sources, too: duplicate address detection (RFC 4862), DHCP.
    std::set<Address::Bytes> all{Address::Bytes{}, Address::parse("0.0.0.0")->bytes()};
    std::set<std::string> interfaces;

    OwnAddresses() {
        ifaddrs* list = nullptr;
        if (::getifaddrs(&list) != 0) return;
        for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
            const auto endpoint = Endpoint::from(one->ifa_addr);
            if (!endpoint) continue;
            all.insert(endpoint->address.bytes());
            if (!endpoint->address.is_v4()) interfaces.insert(one->ifa_name);
        }
        ::freeifaddrs(list);
    }
};

/// The packets of an interface with the same flow, marks and origin, which are judged together.
struct Kind {
    flow_key key;
    std::uint32_t label;
    std::optional<std::uint32_t> hop_by_hop, destination_options;
    std::uint8_t dscp, protocol;
    bool is_ipv4, is_fragment, is_own, is_control, begins_with_options;

    [[nodiscard]] bool has_header() const { return hop_by_hop || destination_options; }
    [[nodiscard]] std::optional<std::uint32_t> value_of(Carrier carrier) const {
        switch (carrier) {
            case Carrier::hop_by_hop:
                return hop_by_hop;
            case Carrier::destination_options:
                return destination_options;
            case Carrier::dscp:
                return dscp;
            case Carrier::label:
                break;
        }
        return label;
    }
};
struct KindHash {
    std::size_t operator()(const Kind& kind) const { return flow_hash(&kind.key) * 31 + kind.label; }
};
struct KindEqual {
    bool operator()(const Kind& a, const Kind& b) const {
        const auto rest = [](const Kind& kind) {
            return std::tuple(kind.label, kind.hop_by_hop, kind.destination_options, kind.dscp, kind.is_ipv4,
                              kind.is_fragment, kind.is_own, kind.is_control, kind.begins_with_options);
        };
        return rest(a) == rest(b) && FlowKeyEqual()(a.key, b.key);
    }
};

struct Watched {
    std::string name;
    Told::Hook before;  // at the beginning
    Capture capture;
    std::unordered_map<Kind, std::uint64_t, KindHash, KindEqual> kinds = {};
    std::uint64_t seen = 0;
    std::uint64_t not_judged = 0;  // too many different ones, malformed, or lost because the socket's buffer was full

    void take(std::span<const std::uint8_t> bytes, const OwnAddresses& own) {
        ++seen;
        const auto packet = read_ip(bytes);
        if (!packet) return void(++not_judged);
        const Kind kind{packet->key(),
                        packet->label,
                        packet->hop_by_hop,
                        packet->destination_options,
                        packet->dscp,
                        packet->protocol,
                        packet->is_ipv4,
                        packet->is_later_fragment,
                        own.all.contains(packet->source),
                        packet->is_control,
                        packet->begins_with_options};
        if (kinds.size() < max_different || kinds.contains(kind))
            ++kinds[kind];
        else
            ++not_judged;
    }
};

/// The packets of a protocol on an interface, by verdict on one carrier.
struct Counts {
    std::uint64_t seen = 0, right = 0, wrong = 0, missing = 0, no_tag = 0, no_valid_tag = 0, out_of_range = 0, ended = 0,
                  unknown_tag = 0, forwarded = 0, fragment = 0, kept = 0, no_room = 0, has_header = 0, control = 0,
                  not_judged = 0;

    std::uint64_t& of(Verdict verdict) {
        switch (verdict) {
            case Verdict::right:
                return right;
            case Verdict::wrong:
                return wrong;
            case Verdict::missing:
                return missing;
            case Verdict::no_tag:
                return no_tag;
            case Verdict::no_valid_tag:
                return no_valid_tag;
            case Verdict::out_of_range:
                return out_of_range;
            case Verdict::kept:
                return kept;
            case Verdict::ended:
                break;
        }
        return ended;
    }
};

class Look {
  public:
    Look(VerifyOptions options, ToolCall& call, const Options& config)
        : options_(options), call_(call), forwarded_(config.forwarded), told_(call.host(), config) {}

    [[nodiscard]] Result<void> run() {
        if (auto done = told_.look(); !done) return done;
        for (const auto& [name, hook] : told_.hooks()) {
            const unsigned index = ::if_nametoindex(name.c_str());
            if (index == 0) continue;  // removed meanwhile
            auto capture = Capture::open(static_cast<int>(index), told_.has(Carrier::dscp));
            if (!capture) return std::move(capture).error();
            watched_.push_back({name, hook, std::move(*capture)});
        }
        if (auto done = watch(); !done) return done;
        return told_.look();
    }
    void print() {
        for (const Watched& one : watched_) judge(one);
        if (told_.observes())
            report_.add({FLOWD_LEVEL_INFO,
                         "marker-labels-not-verified",
                         {},
                         "the marker writes nothing: its mode is observe",
                         "it marks packets",
                         "mode: mark in the configuration, or `flowd-cpp marker mode mark`"});
        call_.print(report_.to_string());
    }

  private:
    Result<void> watch() {
        std::vector<pollfd> wanted{{call_.interrupt_fd(), POLLIN, 0}};
        for (const Watched& one : watched_) wanted.push_back({one.capture.fd(), POLLIN, 0});
        const auto settled = Clock::now() + settling, end = settled + options_.seconds;
        auto next_look = settled + std::chrono::seconds(1), next_probe = settled;
        for (auto now = Clock::now(); now < end; now = Clock::now()) {
            (void)::poll(wanted.data(), wanted.size(), static_cast<int>(tick.count()));
            if (wanted[0].revents != 0) return {};
            const bool counts = Clock::now() >= settled;
            for (Watched& one : watched_) {
                one.capture.read([&](std::span<const std::uint8_t> bytes) {
                    if (counts) one.take(bytes, own_);
                });
                const std::uint32_t missed = one.capture.missed();
                if (!counts) continue;
                one.seen += missed;
                one.not_judged += missed;
            }
            if (now >= next_look) {
                if (auto done = told_.look(); !done) return done;
                next_look = Clock::now() + std::chrono::seconds(1);
            }
            if (options_.probe && now >= next_probe) {
                for (const Watched& one : watched_)
                    if (one.seen == 0) probe(one.name);
                next_probe = now + tick;
            }
        }
        return {};
    }

    /// Sends to the all-nodes multicast address, which needs no neighbour discovery and draws no answer.
    static void probe(const std::string& interface) {
        const UniqueFd fd(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        sockaddr_in6 to{};
        to.sin6_family = AF_INET6;
        to.sin6_port = htons(discard_port);
        to.sin6_scope_id = ::if_nametoindex(interface.c_str());
        (void)::inet_pton(AF_INET6, "ff02::1", &to.sin6_addr);
        const int off = 0;
        (void)::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_MULTICAST_LOOP, &off, sizeof off);
        (void)::sendto(fd.get(), "flowd-cpp verify", 16, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to);
    }

    void judge(const Watched& one) {
        const auto found = told_.hooks().find(one.name);
        const Told::Hook hook = found == told_.hooks().end() ? one.before : found->second;
        std::uint64_t bad = 0, all = 0;
        for (const Carrier carrier : told_.carriers()) {
            std::map<std::string, Counts> by_protocol = count(one, carrier);
            explain_missing(by_protocol, carrier, hook.refused - std::min(hook.refused, one.before.refused));
            for (const auto& [protocol, counts] : by_protocol) {
                write(one.name, protocol, carrier, counts);
                bad += counts.wrong + counts.missing;
                all += counts.right + counts.wrong + counts.missing;
            }
        }
        Counts rest;
        rest.seen = rest.not_judged = one.not_judged;
        if (one.not_judged != 0)
            write(one.name, "not judged", std::nullopt, rest);
        else if (one.seen == 0)
            write(one.name, "none", std::nullopt, rest);
        find(one, hook, bad, all);
    }

    [[nodiscard]] std::map<std::string, Counts> count(const Watched& one, Carrier carrier) const {
        std::map<std::string, Counts> by_protocol;
        for (const auto& [kind, packets] : one.kinds) {
            if (kind.is_ipv4 && carrier != Carrier::dscp) continue;
            Counts& counts = by_protocol[protocol_name(kind.protocol)];
            counts.seen += packets;
            column_of(counts, kind, carrier) += packets;
            const auto value = kind.value_of(carrier);
            if (carrier != Carrier::dscp && value && told_.judge(kind.key, carrier, value) == Verdict::right &&
                !told_.is_registered(carrier, *value))
                counts.unknown_tag += packets;
        }
        return by_protocol;
    }

    std::uint64_t& column_of(Counts& counts, const Kind& kind, Carrier carrier) const {
        const bool is_header = carrier == Carrier::hop_by_hop || carrier == Carrier::destination_options;
        if (kind.is_fragment) return counts.fragment;
        if (!kind.is_own && !forwarded_) return counts.forwarded;
        const Verdict verdict = told_.judge(kind.key, carrier, kind.value_of(carrier));
        if (verdict != Verdict::missing || !is_header) return counts.of(verdict);
        if (kind.is_control) return counts.control;
        return kind.begins_with_options && !kind.has_header() ? counts.has_header : counts.missing;
    }

    /// Attributes packets without a mark to what the marker respects. `refused` may explain as many packets without a
    /// header; a packet that a program hides from the marker is not among them.
    void explain_missing(std::map<std::string, Counts>& by_protocol, Carrier carrier, std::uint64_t refused) const {
        // If no packet is right, the other values were probably not set by applications.
        const bool any_right =
            std::any_of(by_protocol.begin(), by_protocol.end(), [](const auto& entry) { return entry.second.right != 0; });
        for (auto& [protocol, counts] : by_protocol) {
            if (!any_right) counts.missing += std::exchange(counts.kept, 0);
            if (any_right && carrier == Carrier::label && told_.keeps_explicit())
                counts.kept += std::exchange(counts.missing, 0);
            if (carrier != Carrier::hop_by_hop && carrier != Carrier::destination_options) continue;
            const std::uint64_t explained = std::min(counts.missing, refused);
            counts.missing -= explained;
            counts.no_room += explained;
            refused -= explained;
        }
    }

    void write(const std::string& interface, const std::string& protocol, std::optional<Carrier> carrier,
               const Counts& counts) {
        json::Writer& row = report_.row().member("interface", interface).member("protocol", protocol);
        if (carrier)
            row.member("carrier", name_of(*carrier));
        else
            row.member("carrier", nullptr);
        row.member("seen", counts.seen);
        row.member("right", counts.right).member("wrong", counts.wrong).member("unlabelled", counts.missing);
        // null for 0: the table omits columns without values
        const auto rare = [&row](const char* name, std::uint64_t packets) {
            packets == 0 ? row.member(name, nullptr) : row.member(name, packets);
        };
        rare("noTag", counts.no_tag);
        rare("noValidTag", counts.no_valid_tag);
        rare("tagOutOfRange", counts.out_of_range);
        rare("endedFlow", counts.ended);
        rare("unknownTag", counts.unknown_tag);
        rare("forwarded", counts.forwarded);
        rare("fragment", counts.fragment);
        rare("keptExplicit", counts.kept);
        rare("noRoom", counts.no_room);
        rare("hasHeader", counts.has_header);
        rare("controlMessage", counts.control);
        rare("notJudged", counts.not_judged);
        row.end();
    }

    /// `bad` of `all` packets that should carry the marks of their flows do not.
    void find(const Watched& one, const Told::Hook& hook, std::uint64_t bad, std::uint64_t all) {
        const std::string ip = told_.has(Carrier::dscp) ? "IP" : "IPv6";
        if (one.seen == 0 && !told_.has(Carrier::dscp) && !own_.interfaces.contains(one.name))
            return report_.add({FLOWD_LEVEL_ERROR, "marker-no-ipv6", one.name, "the interface has no IPv6 address",
                                "IPv6 packets that can be marked",
                                "configure IPv6 on it, or remove it from targetInterfaces"});
        if (one.seen == 0 && !hook.is_removed)
            return report_.add({FLOWD_LEVEL_WARNING, "marker-no-traffic", one.name,
                                "no " + ip + " packet left" + (options_.probe ? ", although some were sent" : ""),
                                ip + " traffic",
                                options_.probe ? "look at its state: ip -6 address show" : "flowd-cpp verify --probe"});
        if (told_.observes() || bad * 100 <= all) return;
        std::string what = std::to_string(bad) + " of " + std::to_string(all) + " packets that should have a " + marks() +
                           " left without theirs";
        if (hook.is_removed)
            report_.add({FLOWD_LEVEL_ERROR, "marker-hook-removed", one.name,
                         "the marker's program is not attached: " + what, "it is attached",
                         "stop what removed it, then reload"});
        else if (!hook.runs_before.empty())
            report_.add({FLOWD_LEVEL_ERROR, "marker-hook-hidden", one.name,
                         hook.runs_before + " runs before the marker's program: " + what, "the marker's program runs first",
                         "remove it, or attach it after the marker's program"});
        else
            report_.add(
                {FLOWD_LEVEL_ERROR, "marker-labels-wrong", one.name,
                 what + (hook.repairs != one.before.repairs ? "; the marker's program was removed and attached again" : ""),
                 "each packet has the " + marks() + " of its flow or of the catch-all",
                 "look for what else changes packets: bpftool net; tc filter show dev " + one.name + " egress"});
    }

    /// What packets should have, for findings.
    [[nodiscard]] std::string marks() const {
        std::string text;
        for (const Carrier carrier : told_.carriers())
            text += (text.empty() ? "" : " and ") + std::string(carrier == Carrier::label        ? "label"
                                                                : carrier == Carrier::dscp       ? "DSCP"
                                                                : carrier == Carrier::hop_by_hop ? "hop-by-hop option"
                                                                                                 : "destination option");
        return text;
    }

    VerifyOptions options_;
    ToolCall& call_;
    bool forwarded_;
    Told told_;
    OwnAddresses own_;
    std::list<Watched> watched_;
    Verification report_;
};

Result<void> verify(VerifyOptions options, ToolCall& call) {
    auto config = call.config<Options>();
    if (!config) return std::move(config).error();
    Look look(options, call, config->value_or(Options()));
    if (auto done = look.run(); !done) return done;
    look.print();
    return {};
}

}  // namespace

Tool verify_tool() {
    return tool<&verify>("verify", "Compares what the packets that leave carry with what the daemon has told.");
}

}  // namespace flowd::marker
