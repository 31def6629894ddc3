// SPDX-License-Identifier: Apache-2.0
// The three ends of scripts/bench-firefly, as cheap as they can be, so that what stands between them is measured:
//   firefly-load blast ADDRESS PORT RATE SECONDS   sends start/end pairs; prints "sent N seconds S"
//   firefly-load sink ADDRESS PORT                 counts; prints "received N drops D disorder O" at SIGTERM
//   firefly-load relay ADDRESS PORT TO TO-PORT     the floor: recvmmsg and sendmmsg, and nothing else
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "lib/net/receive_batch.hpp"
#include "lib/net/sender.hpp"
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

/// Fireflies as XRootD writes them, each of a flow of its own, told by src-ip.
class Pairs {
  public:
    Pairs() {
        const std::string begin =
            "<134>1 - se1.example.org xrootd - firefly-json - {\"version\":1,\"flow-lifecycle\":{\"state\":\"";
        const std::string times =
            R"(,"current-time":"2026-06-24T08:48:24.201540+00:00","start-time":"2026-06-24T08:48:24.201540+00:00")";
        const std::string context = R"("context":{"experiment-id":2,"activity-id":16,"application":"xrdcp"},)";
        const std::string flow =
            R"("flow-id":{"afi":"ipv6","src-ip":"2001:db8::1HHH:1LLL","dst-ip":"2620:6a:0:8421:f0:0:188:54",)"
            R"("protocol":"tcp","src-port":1094,"dst-port":38084}})";
        start_ = begin + "start\"" + times + "}," + context + flow;
        end_ = begin + "end\"" + times + R"(,"end-time":"2026-06-24T08:49:24.230146+00:00"},"usage":{"received":813,)" +
               R"("sent":10507049000},"netlink":{"rtt":101.053},)" + context + flow;
        start_at_ = start_.find("1HHH");
        end_at_ = end_.find("1HHH");
    }
    /// Starts of flows and the ends of those that started `live` flows earlier, alternating.
    std::string_view next() {
        const bool is_end = (count_ & 1) != 0;
        const std::uint32_t flow = static_cast<std::uint32_t>(count_++ / 2);
        if (is_end && flow < live) return next();
        std::string& text = is_end ? end_ : start_;
        write(text.data() + (is_end ? end_at_ : start_at_), is_end ? flow - live : flow);
        return text;
    }

  private:
    static constexpr std::uint32_t live = 1000;
    /// 24 bits as "1xxx:1xxx", which RFC 5952 leaves as it is.
    static void write(char* at, std::uint32_t flow) {
        constexpr char digits[] = "0123456789abcdef";
        for (const int group : {3, 8})
            for (int i = 0; i < 3; ++i) {
                const int shift = (group == 3 ? 12 : 0) + 4 * i;
                at[group - i] = digits[flow >> shift & 15];
            }
    }
    std::string start_, end_;
    std::size_t start_at_ = 0, end_at_ = 0;
    std::uint64_t count_ = 0;
};

int blast(const Endpoint& to, double rate, double seconds) {
    flowd::net::Sender sender(64);
    sender.use(must(UdpSocket::connected(to)));
    Pairs pairs;
    const auto begin = Clock::now();
    const auto wanted = static_cast<std::uint64_t>(rate * seconds);
    std::uint64_t pushed = 0;
    while (pushed < wanted) {
        const std::chrono::duration<double> passed = Clock::now() - begin;
        const auto due = std::min(wanted, static_cast<std::uint64_t>(passed.count() * rate));
        if (due <= pushed) {
            const timespec pause{0, 200'000};
            ::nanosleep(&pause, nullptr);
            continue;
        }
        for (; pushed < due; ++pushed) sender.push(pairs.next());
        sender.flush();
    }
    const std::chrono::duration<double> passed = Clock::now() - begin;
    std::printf("sent %llu seconds %.3f\n", static_cast<unsigned long long>(sender.counts().sent), passed.count());
    return 0;
}

/// Whether each flow's start came before its end, and none twice.
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
        const std::uint8_t state = text[state_at + 9] == 's' ? 1 : 2;
        if (seen_[flow] != state - 1) ++disorder_;
        seen_[flow] = state;
    }
    [[nodiscard]] unsigned long long disorder() const { return disorder_; }

  private:
    static int digit(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }
    std::vector<std::uint8_t> seen_ = std::vector<std::uint8_t>(1u << 24);
    unsigned long long disorder_ = 0;
};

int sink(const Endpoint& at) {
    const UdpSocket socket = must(UdpSocket::bound(at, 32 << 20));
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, nullptr);
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
    std::printf("received %llu drops %u disorder %llu\n", received, socket.drops(), order.disorder());
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
    if (what == "blast" && argc == 6) return blast(endpoint(argv[2], argv[3]), std::atof(argv[4]), std::atof(argv[5]));
    if (what == "sink" && argc == 4) return sink(endpoint(argv[2], argv[3]));
    if (what == "relay" && argc == 6) return relay(endpoint(argv[2], argv[3]), endpoint(argv[4], argv[5]));
    std::fputs("usage: firefly-load blast ADDRESS PORT RATE SECONDS | sink ADDRESS PORT | relay ADDRESS PORT TO TO-PORT\n",
               stderr);
    return 2;
}
