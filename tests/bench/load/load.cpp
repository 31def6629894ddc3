// SPDX-License-Identifier: Apache-2.0
// The ends of scripts/bench-firefly and of the chain over Kafka, as cheap as they can be, so that what stands between them
// is measured:
//   firefly-load blast ADDRESS PORT RATE SECONDS   sends start/end pairs, numbered; prints "sent N seconds S", also at
//   SIGTERM firefly-load sink ADDRESS PORT [FILE]          counts; prints "received N repeated R drops D disorder O" at
//   SIGTERM, and
//                                                  writes a byte for each flow: what was seen of it
//   firefly-load relay ADDRESS PORT TO TO-PORT     the floor: recvmmsg and sendmmsg, and nothing else
//   firefly-load judge SENT FILE                   reads the records of a topic, one a line; prints "produced P missing M":
//                                                  how many of so many fireflies are there, and how many of those the sink
//                                                  has not seen
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/net/receive_batch.hpp"
#include "lib/net/udp_socket.hpp"

namespace {

using flowd::Address;
using flowd::Endpoint;
using flowd::net::UdpSocket;
using Clock = std::chrono::steady_clock;

template <typename T>
T must(flowd::Result<T> result) {
    if (result) return std::move(result).value();
    std::fprintf(stderr, "%s\n", result.error().message.c_str());
    std::exit(1);
}

Endpoint endpoint(const char* address, const char* port) {
    const auto parsed = Address::parse(address);
    if (!parsed) std::exit(1);
    return {*parsed, static_cast<std::uint16_t>(std::atoi(port))};
}

sigset_t block_stop() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    return set;
}

constexpr std::size_t most_flows = std::size_t{1} << 24;
/// What is live at a time.
constexpr std::uint32_t live = 1000;
/// Numbers of fireflies begin here, so that all have the same length.
constexpr std::uint64_t first_number = 100'000'000;
constexpr std::uint8_t start_seen = 1, end_seen = 2, end_is_last = 4;

/// Starts of flows, and ends of those that started `live` flows earlier, by turns.
struct Turn {
    std::uint32_t flow;
    bool is_end;
};
Turn turn(std::uint64_t number) {
    // The first flows start without an end between.
    if (number < live) return {static_cast<std::uint32_t>(number), false};
    const auto flow = static_cast<std::uint32_t>((number - live) / 2);
    return (number - live) % 2 == 0 ? Turn{flow + live, false} : Turn{flow, true};
}

/// Fireflies as XRootD writes them, each of a flow of its own, told by src-ip; with the numbers of flowd if wanted.
class Pairs {
  public:
    explicit Pairs(bool numbered) {
        const std::string begin =
            "<134>1 - se1.example.org xrootd - firefly-json - {\"version\":1,\"flow-lifecycle\":{\"state\":\"";
        const std::string times =
            R"(,"current-time":"2026-06-24T08:48:24.201540+00:00","start-time":"2026-06-24T08:48:24.201540+00:00")";
        const std::string context = R"("context":{"experiment-id":2,"activity-id":16,"application":"xrdcp"},)";
        const std::string flow =
            R"("flow-id":{"afi":"ipv6","src-ip":"2001:db8::1HHH:1LLL","dst-ip":"2620:6a:0:8421:f0:0:188:54",)"
            R"("protocol":"tcp","src-port":1094,"dst-port":38084})" +
            std::string(numbered ? R"(,"flowd":{"boot":"00000000f10edca7","stream":1,"seq":NNNNNNNNN,)"
                                   R"("origin":"00000000f10edca7","hops":0}})"
                                 : "}");
        start_ = begin + "start\"" + times + "}," + context + flow;
        end_ = begin + "end\"" + times + R"(,"end-time":"2026-06-24T08:49:24.230146+00:00"},"usage":{"received":813,)" +
               R"("sent":10507049000},"netlink":{"rtt":101.053},)" + context + flow;
    }
    std::string_view next() {
        const auto [flow, is_end] = turn(count_);
        std::string& text = is_end ? end_ : start_;
        write_flow(text.data() + text.find("db8::1") + 5, flow);
        std::uint64_t number = first_number + count_++;
        const auto seq = text.find("\"seq\":");
        if (seq == std::string::npos) return text;
        for (char* at = text.data() + seq + 6 + 9; number != 0; number /= 10) *--at = static_cast<char>('0' + number % 10);
        return text;
    }

  private:
    /// 24 bits as "1xxx:1xxx", which RFC 5952 leaves as it is.
    static void write_flow(char* at, std::uint32_t flow) {
        constexpr char digits[] = "0123456789abcdef";
        for (const int group : {3, 8})
            for (int i = 0; i < 3; ++i) {
                const int shift = (group == 3 ? 12 : 0) + 4 * i;
                at[group - i] = digits[flow >> shift & 15];
            }
    }
    std::string start_, end_;
    std::uint64_t count_ = 0;
};

/// Sends datagrams one by one, as emitters do: net::Sender merges them.
struct Plain {
    static constexpr std::size_t most = 64;

    explicit Plain(UdpSocket to) : socket(std::move(to)) {}
    void send(std::size_t count) {
        std::array<mmsghdr, most> headers{};
        std::array<iovec, most> pieces;
        for (std::size_t i = 0; i < count; ++i) {
            pieces[i] = {texts[i].data(), texts[i].size()};
            headers[i].msg_hdr.msg_iov = &pieces[i];
            headers[i].msg_hdr.msg_iovlen = 1;
        }
        for (std::size_t sent = 0; sent < count;) {
            const int more = ::sendmmsg(socket.fd(), headers.data() + sent, static_cast<unsigned>(count - sent), 0);
            if (more > 0) {
                sent += static_cast<std::size_t>(more);
                continue;
            }
            pollfd writable{socket.fd(), POLLOUT, 0};
            (void)::poll(&writable, 1, -1);
        }
    }
    UdpSocket socket;
    std::array<std::string, most> texts;
};

int blast(const Endpoint& to, double rate, double seconds, bool numbered) {
    Plain sender(must(UdpSocket::connected(to)));
    Pairs pairs(numbered);
    const auto begin = Clock::now();
    const auto wanted = static_cast<std::uint64_t>(rate * seconds);
    std::uint64_t pushed = 0;
    const sigset_t set = block_stop();
    while (pushed < wanted) {
        const std::chrono::duration<double> passed = Clock::now() - begin;
        const auto due = std::min(wanted, static_cast<std::uint64_t>(passed.count() * rate));
        const timespec pause{0, due <= pushed ? 200'000 : 0};
        if (::sigtimedwait(&set, nullptr, &pause) == SIGTERM) break;
        while (pushed < due) {
            const std::size_t count = std::min<std::size_t>(due - pushed, Plain::most);
            for (std::size_t i = 0; i < count; ++i) sender.texts[i] = pairs.next();
            sender.send(count);
            pushed += count;
        }
    }
    const std::chrono::duration<double> passed = Clock::now() - begin;
    std::printf("sent %llu seconds %.3f\n", static_cast<unsigned long long>(pushed), passed.count());
    return 0;
}

/// Starts that came behind their end, and what came again.
class Order {
  public:
    void see(std::string_view text) {
        const auto flow_at = text.find("2001:db8::1");
        const auto state_at = text.find("\"state\":\"");
        if (flow_at == std::string_view::npos || state_at == std::string_view::npos) {
            ++disorder_;
            return;
        }
        const std::string_view groups = text.substr(flow_at + 11);
        std::uint32_t flow = 0;
        for (const int at : {0, 1, 2, 5, 6, 7})
            flow = flow << 4 | static_cast<std::uint32_t>(digit(groups[static_cast<std::size_t>(at)]));
        const bool is_end = text[state_at + 9] == 'e';
        const std::uint8_t before = seen_[flow];
        // An end alone is none: its start may have been lost.
        if (!is_end && (before & (start_seen | end_seen)) == end_seen) ++disorder_;
        if ((before & (is_end ? end_seen : start_seen)) != 0) ++repeated_;
        seen_[flow] =
            static_cast<std::uint8_t>(is_end ? before | end_seen | end_is_last : (before | start_seen) & ~end_is_last);
    }
    [[nodiscard]] unsigned long long disorder() const { return disorder_; }
    [[nodiscard]] unsigned long long repeated() const { return repeated_; }
    [[nodiscard]] const std::vector<std::uint8_t>& seen() const { return seen_; }

  private:
    static int digit(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }
    std::vector<std::uint8_t> seen_ = std::vector<std::uint8_t>(most_flows);
    unsigned long long disorder_ = 0, repeated_ = 0;
};

int sink(const Endpoint& at, const char* file) {
    const UdpSocket socket = must(UdpSocket::bound(at, 32 << 20));
    const sigset_t set = block_stop();
    const int stop = ::signalfd(-1, &set, 0);
    std::puts("ready");
    std::fflush(stdout);
    flowd::net::ReceiveBatch batch(64, 2048);
    Order order;
    unsigned long long received = 0;
    std::array<pollfd, 2> wanted{{{socket.fd(), POLLIN, 0}, {stop, POLLIN, 0}}};
    while (::poll(wanted.data(), 2, -1) > 0) {
        const auto datagrams = must(batch.receive(socket.fd()));
        for (const auto& datagram : datagrams) order.see(datagram.payload);
        received += datagrams.size();
        if (datagrams.empty() && wanted[1].revents != 0) break;
    }
    std::printf("received %llu repeated %llu drops %u disorder %llu\n", received, order.repeated(), socket.drops(),
                order.disorder());
    if (file != nullptr)
        std::ofstream(file).write(reinterpret_cast<const char*>(order.seen().data()),
                                  static_cast<std::streamsize>(most_flows));
    return 0;
}

int judge(std::uint64_t sent, const char* file) {
    std::ifstream in(file);
    const std::vector<char> seen{std::istreambuf_iterator<char>(in), {}};
    std::vector<bool> produced(sent);
    std::ios::sync_with_stdio(false);
    for (std::string line; std::getline(std::cin, line);) {
        const auto at = line.find(R"(\"seq\":)");
        if (at == std::string::npos) continue;
        const std::uint64_t number = std::strtoull(line.c_str() + at + 8, nullptr, 10) - first_number;
        if (number < sent) produced[number] = true;
    }
    unsigned long long count = 0, missing = 0;
    for (std::uint64_t number = 0; number < sent; ++number) {
        if (!produced[number]) continue;
        ++count;
        const auto [flow, is_end] = turn(number);
        const auto of_flow = flow < seen.size() ? static_cast<std::uint8_t>(seen[flow]) : std::uint8_t{0};
        const bool is_there =
            is_end ? (of_flow & (end_seen | end_is_last)) == (end_seen | end_is_last) : (of_flow & start_seen) != 0;
        if (!is_there) ++missing;
    }
    std::printf("produced %llu missing %llu\n", count, missing);
    return 0;
}

int relay(const Endpoint& at, const Endpoint& to) {
    const UdpSocket in = must(UdpSocket::bound(at, 4 << 20));
    const UdpSocket out = must(UdpSocket::connected(to));
    std::puts("ready");
    std::fflush(stdout);
    constexpr std::size_t most = 64, size = 4096;
    static std::array<std::array<char, size>, most> bytes;
    std::array<mmsghdr, most> headers{};
    std::array<iovec, most> pieces{};
    pollfd readable{in.fd(), POLLIN, 0};
    while (::poll(&readable, 1, -1) > 0) {
        for (std::size_t i = 0; i < most; ++i) {
            pieces[i] = {bytes[i].data(), size};
            headers[i].msg_hdr.msg_iov = &pieces[i];
            headers[i].msg_hdr.msg_iovlen = 1;
        }
        const int count = ::recvmmsg(in.fd(), headers.data(), most, MSG_DONTWAIT, nullptr);
        for (int i = 0; i < count; ++i)
            pieces[static_cast<std::size_t>(i)].iov_len = headers[static_cast<std::size_t>(i)].msg_len;
        if (count > 0) (void)::sendmmsg(out.fd(), headers.data(), static_cast<unsigned>(count), 0);
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const std::string_view what = argc > 1 ? argv[1] : "";
    if (what == "blast" && (argc == 6 || argc == 7))
        return blast(endpoint(argv[2], argv[3]), std::atof(argv[4]), std::atof(argv[5]), argc == 7);
    if (what == "sink" && (argc == 4 || argc == 5)) return sink(endpoint(argv[2], argv[3]), argc == 5 ? argv[4] : nullptr);
    if (what == "judge" && argc == 4) return judge(std::strtoull(argv[2], nullptr, 10), argv[3]);
    if (what == "relay" && argc == 6) return relay(endpoint(argv[2], argv[3]), endpoint(argv[4], argv[5]));
    std::fputs(
        "usage: firefly-load blast ADDRESS PORT RATE SECONDS [numbered] | sink ADDRESS PORT [FILE] | relay ADDRESS PORT TO "
        "TO-PORT | "
        "judge SENT FILE\n",
        stderr);
    return 2;
}
