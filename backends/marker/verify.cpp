// SPDX-License-Identifier: Apache-2.0
// `flowd-cpp marker verify`: compares the labels of outgoing packets with the flows of the running daemon.
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
#include <numeric>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "backends/marker/capture.hpp"
#include "backends/marker/told.hpp"
#include "backends/marker/verify.hpp"
#include "backends/marker/wire.hpp"
#include "flowd/address.hpp"

namespace flowd::marker {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t max_different = 65536;        // flows and labels of an interface
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

/// The IPv6 addresses of this host, and the interfaces that have one.
struct OwnAddresses {
    std::set<Address::Bytes> all{Address::Bytes{}};  // :: is an own source, too: duplicate address detection (RFC 4862)
    std::set<std::string> interfaces;

    OwnAddresses() {
        ifaddrs* list = nullptr;
        if (::getifaddrs(&list) != 0) return;
        for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
            const auto endpoint = Endpoint::from(one->ifa_addr);
            if (!endpoint || endpoint->address.is_v4()) continue;
            all.insert(endpoint->address.bytes());
            interfaces.insert(one->ifa_name);
        }
        ::freeifaddrs(list);
    }
};

/// The packets of an interface with the same flow, label and origin, which are judged together.
struct Kind {
    flow_key key;
    std::uint32_t label;
    std::uint8_t protocol;
    bool is_fragment, is_own;
};
struct KindHash {
    std::size_t operator()(const Kind& kind) const { return flow_hash(&kind.key) * 31 + kind.label; }
};
struct KindEqual {
    bool operator()(const Kind& a, const Kind& b) const {
        return a.label == b.label && a.is_fragment == b.is_fragment && a.is_own == b.is_own && FlowKeyEqual()(a.key, b.key);
    }
};

struct Watched {
    std::string name;
    std::uint64_t repairs;  // at the beginning
    Capture capture;
    std::unordered_map<Kind, std::uint64_t, KindHash, KindEqual> kinds = {};
    std::uint64_t seen = 0;

    void take(std::span<const std::uint8_t> bytes, const OwnAddresses& own) {
        const auto packet = read_ipv6(bytes);
        ++seen;
        if (!packet) return;
        const Kind kind{packet->key(), packet->label, packet->protocol, packet->is_later_fragment,
                        own.all.contains(packet->source)};
        if (kinds.size() < max_different || kinds.contains(kind)) ++kinds[kind];
    }
};

/// The packets of a protocol on an interface, by verdict.
struct Counts {
    std::uint64_t seen = 0, right = 0, wrong = 0, missing = 0, no_tag = 0, no_valid_tag = 0, out_of_range = 0, ended = 0,
                  unknown_tag = 0, forwarded = 0, fragment = 0, kept = 0;

    std::uint64_t& of(Label label) {
        switch (label) {
            case Label::right:
                return right;
            case Label::wrong:
                return wrong;
            case Label::missing:
                return missing;
            case Label::no_tag:
                return no_tag;
            case Label::no_valid_tag:
                return no_valid_tag;
            case Label::out_of_range:
                return out_of_range;
            case Label::ended:
                break;
        }
        return ended;
    }
};

std::string name_of_protocol(std::uint8_t protocol) {
    switch (protocol) {
        case IPPROTO_TCP:
            return "tcp";
        case IPPROTO_UDP:
            return "udp";
        case IPPROTO_ICMPV6:
            return "icmpv6";
        case IPPROTO_SCTP:
            return "sctp";
        default:
            return std::to_string(protocol);
    }
}

class Look {
  public:
    Look(VerifyOptions options, ToolCall& call, const Options& config)
        : options_(options), call_(call), forwarded_(config.forwarded), told_(call.host(), config) {}

    [[nodiscard]] Result<void> run() {
        if (auto done = told_.look(); !done) return done;
        for (const auto& [name, hook] : told_.hooks()) {
            const unsigned index = ::if_nametoindex(name.c_str());
            if (index == 0) continue;  // removed meanwhile
            auto capture = Capture::open(static_cast<int>(index));
            if (!capture) return std::move(capture).error();
            watched_.push_back({name, hook.repairs, std::move(*capture)});
        }
        if (auto done = watch(); !done) return done;
        return told_.look();
    }
    void print() {
        for (const Watched& one : watched_) judge(one);
        if (!told_.writes_labels())
            report_.add({FLOWD_LEVEL_INFO,
                         "marker-labels-not-verified",
                         {},
                         "the marker does not write flow labels",
                         "verify compares flow labels",
                         "set markingStrategy: label and mode: mark to have them verified"});
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
            for (Watched& one : watched_)
                one.capture.read([&](std::span<const std::uint8_t> bytes) {
                    if (counts) one.take(bytes, own_);
                });
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
        std::map<std::string, Counts> by_protocol;
        Counts sum;
        for (const auto& [kind, packets] : one.kinds) {
            Counts& counts = by_protocol[name_of_protocol(kind.protocol)];
            for (Counts* each : {&counts, &sum}) {
                each->seen += packets;
                column_of(*each, kind) += packets;
                if (told_.judge(kind.key, kind.label) == Label::right && !told_.is_registered(kind.label))
                    each->unknown_tag += packets;
            }
        }
        // If no packet is right, the other labels were probably not set by applications.
        if (told_.keeps_explicit() && sum.right != 0)
            for (auto& [protocol, counts] : by_protocol) counts.kept = std::exchange(counts.missing, 0);
        for (const auto& [protocol, counts] : by_protocol) write(one.name, protocol, counts);
        if (by_protocol.empty()) write(one.name, "", Counts());
        const std::uint64_t bad = std::accumulate(
            by_protocol.begin(), by_protocol.end(), std::uint64_t{0},
            [](std::uint64_t all, const auto& entry) { return all + entry.second.wrong + entry.second.missing; });
        find(one, sum, bad);
    }

    std::uint64_t& column_of(Counts& counts, const Kind& kind) const {
        if (kind.is_fragment) return counts.fragment;
        if (!kind.is_own && !forwarded_) return counts.forwarded;
        return counts.of(told_.judge(kind.key, kind.label));
    }

    void write(const std::string& interface, const std::string& protocol, const Counts& counts) {
        json::Writer& row = report_.row().member("interface", interface);
        row.member("protocol", protocol.empty() ? "none" : protocol).member("seen", counts.seen);
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
        row.end();
    }

    void find(const Watched& one, const Counts& sum, std::uint64_t bad) {
        const auto found = told_.hooks().find(one.name);
        const Told::Hook hook = found == told_.hooks().end() ? Told::Hook() : found->second;
        if (one.seen == 0 && !own_.interfaces.contains(one.name))
            return report_.add({FLOWD_LEVEL_ERROR, "marker-no-ipv6", one.name, "the interface has no IPv6 address",
                                "IPv6 packets that can be marked",
                                "configure IPv6 on it, or remove it from targetInterfaces"});
        if (one.seen == 0 && !hook.is_removed)
            return report_.add({FLOWD_LEVEL_WARNING, "marker-no-traffic", one.name,
                                options_.probe ? "no IPv6 packet left, although some were sent" : "no IPv6 packet left",
                                "IPv6 traffic",
                                options_.probe ? "look at its state: ip -6 address show" : "flowd-cpp verify --probe"});
        if (!told_.writes_labels() || bad * 100 <= sum.right + bad) return;
        std::string what = std::to_string(bad) + " of " + std::to_string(sum.right + bad) +
                           " packets that should have a label left without theirs";
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
                 what + (hook.repairs != one.repairs ? "; the marker's program was removed and attached again" : ""),
                 "each packet has the label of its flow or of the catch-all",
                 "look for what else writes flow labels: bpftool net; tc filter show dev " + one.name + " egress"});
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
    return tool<&verify>("verify", "Compares the flow labels of the packets that leave with what the daemon has told.");
}

}  // namespace flowd::marker
