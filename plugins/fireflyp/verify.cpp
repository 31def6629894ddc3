// SPDX-License-Identifier: Apache-2.0
#include "plugins/fireflyp/verify.hpp"

#include <poll.h>
#include <simdjson.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "flowd/event.hpp"
#include "flowd/verify.hpp"
#include "lib/firefly/printer.hpp"
#include "lib/net/udp_socket.hpp"
#include "plugins/fireflyp/gate.hpp"
#include "plugins/fireflyp/options.hpp"

namespace flowd::fireflyp {
namespace {

namespace dom = simdjson::dom;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds patience{5};
constexpr std::chrono::milliseconds interval{100};

struct VerifyOptions {
    static const Table<VerifyOptions>& table() {
        static const Table<VerifyOptions> table{};
        return table;
    }
};

/// The explanation of one instance for the test flow.
struct Said {
    std::string instance, verdict, subject;
};
struct Explained {
    bool is_known = false;
    std::vector<Said> said = {};

    [[nodiscard]] bool is_waiting() const {
        return std::any_of(said.begin(), said.end(),
                           [](const Said& one) { return one.verdict == "waiting" || one.verdict == "not-queued"; });
    }
};

std::string text_at(const dom::element& object, std::string_view name) {
    std::string_view text;
    return object[name].get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}

/// A test firefly announces the UDP flow of its own datagrams.
class Test {
  public:
    Test(const Endpoint& listener, ToolCall& call) : listener_(listener), call_(call), daemon_(call.host()) {}

    Result<void> run(const Allowed& allowed, Verification& report) {
        auto socket = net::UdpSocket::connected(listener_);
        if (!socket) return std::move(socket).error();
        auto local = socket->local();
        if (!local) return std::move(local).error();
        if (!allowed.includes(local->address)) {
            write(report, "listener", local->address.to_string(), "not tested: `allow` does not contain this address");
            return {};
        }
        source_ = *local;
        firefly::Firefly firefly;
        firefly.key = make_key(source_, listener_, IPPROTO_UDP);
        firefly.start_time_ns = unix_time_ns();
        send(*socket, firefly, firefly::State::start);
        auto explained = wait();
        send(*socket, firefly, firefly::State::end);
        if (!explained) return std::move(explained).error();
        tell(*explained, report);
        return {};
    }

  private:
    static void send(const net::UdpSocket& socket, firefly::Firefly& firefly, firefly::State state) {
        firefly::Printer printer({"-", "flowd-cpp verify"});
        firefly.state = state;
        firefly.current_time_ns = unix_time_ns();
        if (state == firefly::State::end) firefly.end_time_ns = firefly.current_time_ns;
        const std::string_view text = printer.print(firefly).text;
        (void)::send(socket.fd(), text.data(), text.size(), MSG_DONTWAIT);
    }

    /// Waits until the flow is known, and each backend has taken its start and sent what it sends.
    Result<Explained> wait() const {
        const auto end = Clock::now() + patience;
        for (;;) {
            auto explained = explain();
            if (!explained || (explained->is_known && !explained->is_waiting()) || Clock::now() >= end) return explained;
            pollfd interrupt{call_.interrupt_fd(), POLLIN, 0};
            if (::poll(&interrupt, 1, static_cast<int>(interval.count())) > 0) return explained;
        }
    }

    Result<Explained> explain() const {
        const auto answer = daemon_.ask({"explain", "udp", source_.to_string(), listener_.to_string()});
        if (!answer) return answer.error();
        dom::parser parser;
        dom::element root;
        dom::array explanations;
        Explained explained;
        if (parser.parse(*answer).get(root) != simdjson::SUCCESS ||
            root["known"].get(explained.is_known) != simdjson::SUCCESS ||
            root["explanations"].get(explanations) != simdjson::SUCCESS)
            return Error{FLOWD_ERROR, "the daemon's answer is not understood",
                         "the daemon and flowd-cpp must be of one release"};
        for (const dom::element one : explanations)
            explained.said.push_back({text_at(one, "instance"), text_at(one, "verdict"), text_at(one, "subject")});
        return explained;
    }

    void tell(const Explained& explained, Verification& report) const {
        write(report, "listener, bus", "", explained.is_known ? "the flow is known" : "the flow is not known");
        if (explained.is_known) {
            for (const Said& one : explained.said) write(report, one.instance, one.subject, one.verdict);
            return;
        }
        report.add({FLOWD_LEVEL_ERROR, "fireflyp-test-lost", listener_.to_string(),
                    "a test firefly did not become a flow within " + std::to_string(patience.count()) + " s",
                    "each firefly becomes a flow", "flowd-cpp refusals; flowd-cpp status fireflyp"});
    }

    void write(Verification& report, const std::string& step, const std::string& subject, const std::string& state) const {
        json::Writer& row = report.row().member("firefly", listener_.to_string()).member("step", step);
        row.member("subject", subject).member("state", state).end();
    }

    Endpoint listener_, source_;
    ToolCall& call_;
    Daemon daemon_;
};

Result<void> verify(VerifyOptions, ToolCall& call) {
    auto config = call.config<FireflypOptions>();
    if (!config) return std::move(config).error();
    const FireflypOptions options = config->value_or(FireflypOptions());
    const Allowed allowed(options.allow);
    Verification report;
    for (Endpoint listener : options.endpoints()) {
        if (listener.address.is_unspecified())
            listener.address = *Address::parse(listener.address.is_v4() ? "127.0.0.1" : "::1");
        Test test(listener, call);
        if (auto done = test.run(allowed, report); !done) return done;
    }
    call.print(report.to_string());
    return {};
}

}  // namespace

Tool verify_tool() {
    return tool<&verify>("verify", "Sends a test firefly to each listener, and shows what became of its flow.");
}

}  // namespace flowd::fireflyp
