// SPDX-License-Identifier: Apache-2.0
#include <poll.h>

#include <algorithm>
#include <list>
#include <string_view>
#include <utility>

#include "backends/firefly/tools.hpp"
#include "flowd/json.hpp"
#include "flowd/verify.hpp"
#include "lib/firefly/host_name.hpp"
#include "lib/firefly/printer.hpp"
#include "lib/net/target.hpp"

namespace flowd::firefly_backend {
namespace {

using Clock = net::Target::Clock;

/// False: the user interrupted it.
[[nodiscard]] bool pause(ToolCall& call, Clock::time_point until) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    pollfd interrupt{call.interrupt_fd(), POLLIN, 0};
    return ::poll(&interrupt, 1, static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000))) == 0;
}

/// The attempt to reach one collector.
class Attempt {
  public:
    Attempt(const Collector& collector, ToolCall& call)
        : call_(call), target_(collector.address, collector.port, net::system_lookup(), {}, 2) {}

    [[nodiscard]] Result<void> run(const SendOptions& options, const firefly::Layout& layout) {
        if (auto connected = connect(Clock::now() + connect_within); !connected) return connected;
        begin(options);
        for (const auto state : {firefly::State::start, firefly::State::end}) send(state, layout);
        if (target_.sender().waiting() != 0 || target_.sender().counts().failed != 0)
            return Error{FLOWD_ERROR, target_.name() + ": " + target_.sender().last_error()};
        // A refusal is reported when the error of the socket is read.
        if (!pause(call_, Clock::now() + options.wait)) return Error{FLOWD_ERROR, "interrupted"};
        if (const int number = target_.sender().socket()->take_error(); number != 0)
            return Error::from_errno(number, target_.name() + " refused");
        return {};
    }
    void print(const Result<void>& outcome) {
        std::string text;
        json::Writer writer(text);
        writer.object().member("collector", target_.name()).member("address", target_.address_text());
        writer.member("sent", target_.sender().counts().sent).member("bytes", bytes_);
        writer.member("pathPayload", target_.path_payload());
        writer.member("outcome", outcome ? "sent, no refusal" : outcome.error().message).end();
        call_.print(text);
    }

    /// Two calls with a pause between them: the end is sent on the same socket and returns a refusal of the start.
    void send_start(const firefly::Layout& layout) {
        if (!connect(Clock::now() + connect_within)) return;
        begin({});
        send(firefly::State::start, layout);
    }
    void send_end(const firefly::Layout& layout) {
        if (target_.endpoint()) send(firefly::State::end, layout);
    }
    void tell(Verification& report) const {
        std::vector<Finding> found;
        collector_findings.add(found, target_);
        if (found.empty() && !target_.endpoint())
            found.push_back({FLOWD_LEVEL_ERROR, collector_findings.unresolved, target_.name(),
                             "the resolver does not answer", "its name has an address",
                             "check the resolver of this host: getent ahosts NAME"});
        json::Writer& row = report.row().member("collector", target_.name()).member("address", target_.address_text());
        row.member("pathPayload", target_.path_payload()).member("bytes", bytes_);
        row.member("state", found.empty() ? "sent, no refusal" : target_.trouble()).end();
        for (Finding& one : found) {
            one.severity = FLOWD_LEVEL_ERROR;  // the failure is present, not a past one
            report.add(std::move(one));
        }
    }

  private:
    static constexpr std::chrono::seconds connect_within{10};

    Result<void> connect(Clock::time_point end) {
        const auto forbidden = [](const Endpoint&) { return false; };
        while (target_.state() == net::Target::State::resolving) {
            const auto due = target_.tick(Clock::now(), forbidden);
            if (target_.state() != net::Target::State::resolving) break;
            if (!target_.waits_for_answer()) return Error{FLOWD_NOT_FOUND, target_.trouble()};
            if (Clock::now() >= end) return Error{FLOWD_NOT_FOUND, "the resolver does not answer"};
            if (!pause(call_, due)) return Error{FLOWD_ERROR, "interrupted"};
        }
        return {};
    }
    void begin(const SendOptions& options) {
        const auto local = target_.sender().socket()->local();
        firefly_.key = make_key(local ? *local : Endpoint(), *target_.endpoint(), IPPROTO_UDP);
        firefly_.tag = {options.experiment, options.activity};
        firefly_.start_time_ns = unix_time_ns();
    }
    void send(firefly::State state, const firefly::Layout& layout) {
        firefly_.state = state;
        firefly_.current_time_ns = unix_time_ns();
        if (state == firefly::State::end) firefly_.end_time_ns = firefly_.current_time_ns;
        const auto printed = printer_.print(firefly_, layout).text;
        bytes_ += printed.size();
        target_.push(printed);
        target_.flush(Clock::now());
    }

    ToolCall& call_;
    net::Target target_;
    firefly::Printer printer_{{firefly::host_name(), "flowd-cpp firefly send"}};
    firefly::Firefly firefly_;
    std::size_t bytes_ = 0;
};

[[nodiscard]] Result<std::vector<Collector>> collectors_of(const SendOptions& options, const ToolCall& call) {
    std::vector<Collector> collectors;
    for (const std::string& address : options.to) collectors.push_back({address, options.port, std::nullopt, std::nullopt});
    if (!collectors.empty()) return collectors;
    auto configured = call.config<FireflyOptions>();
    if (!configured) return std::move(configured).error();
    if (*configured) collectors = (*configured)->all_collectors();
    if (collectors.empty())
        return Error{FLOWD_NOT_FOUND, "no collector is named, and the configuration has none", "name one: --to HOST"};
    return collectors;
}

}  // namespace

const Table<SendOptions>& SendOptions::table() {
    using O = SendOptions;
    static const Table<O> table{
        option("to", &O::to)
            .host()
            .length(0, 64)
            .doc("Name or address of a collector; default: the collectors of the configuration."),
        option("port", &O::port).range(1, 65535).default_value(firefly_port).doc("UDP port of each --to."),
        option("experiment", &O::experiment).experiment().default_value(0).doc("Experiment in the fireflies."),
        option("activity", &O::activity).activity().default_value(0).doc("Activity in the fireflies."),
        option("bare", &O::bare).default_value(false).doc("Leaves out the RFC 5424 header."),
        option("wait", &O::wait)
            .range(std::chrono::seconds(0), std::chrono::seconds(60))
            .default_value("2s")
            .doc("How long to wait for a refusal."),
    };
    return table;
}

Result<void> send_fireflies(SendOptions options, ToolCall& call) {
    auto collectors = collectors_of(options, call);
    if (!collectors) return std::move(collectors).error();
    Result<void> worst;
    for (const Collector& collector : *collectors) {
        Attempt attempt(collector, call);
        const bool header = !options.bare && collector.prepend_syslog.value_or(true);
        auto outcome = attempt.run(options, {header, firefly::default_max_size});
        attempt.print(outcome);
        if (!outcome) worst = std::move(outcome);
    }
    return worst;
}

const Table<VerifyOptions>& VerifyOptions::table() {
    static const Table<VerifyOptions> table{};
    return table;
}

Result<void> verify_collectors(VerifyOptions, ToolCall& call) {
    auto configured = call.config<FireflyOptions>();
    if (!configured) return std::move(configured).error();
    const FireflyOptions options = configured->value_or(FireflyOptions());
    const auto layout_for = [&options](const Collector& collector) {
        return firefly::Layout{collector.prepend_syslog.value_or(options.prepend_syslog),
                               collector.max_size.value_or(options.max_size)};
    };
    const auto collectors = options.dry_run ? std::vector<Collector>() : options.all_collectors();
    std::list<Attempt> attempts;
    for (const Collector& collector : collectors) attempts.emplace_back(collector, call).send_start(layout_for(collector));
    if (!attempts.empty() && !pause(call, Clock::now() + SendOptions().wait)) return {};
    Verification report;
    auto attempt = attempts.begin();
    for (const Collector& collector : collectors) {
        attempt->send_end(layout_for(collector));
        attempt++->tell(report);
    }
    call.print(report.to_string());
    return {};
}

}  // namespace flowd::firefly_backend
