// SPDX-License-Identifier: Apache-2.0
#include "plugins/skops/skops.hpp"

#include <netinet/in.h>

#include <cstring>
#include <utility>

#include "lib/net/tcp_info.hpp"
#include "lib/watch/host_findings.hpp"

namespace flowd::skops {
namespace {

constexpr std::uint8_t tcp_close = 7;  // include/net/tcp_states.h

flowd_key key_of(const skops_record& record) {
    return make_key({Address(record.local), record.local_port}, {Address(record.remote), record.remote_port}, IPPROTO_TCP);
}

}  // namespace

Skops::Skops(Host& host, Options options)
    : Enricher(host),
      options_(std::move(options)),
      index_(gone_after),
      counters_(host,
                {
                    {"walks", &walks_},
                    {"failures", "skops_walk_failures_total", "Walks of the kernel's sockets that failed.", &failures_},
                    {"samples", "skops_samples_total", "Samples of live flows taken by BPF.", &samples_},
                    {"gone", &gone_},
                    {"lost", "skops_lost_total", "Changes of state that were lost because the ring buffer was full.",
                     [this] { return program_ ? program_->lost() : 0; }},
                    {"notKept", &not_kept_},
                }) {}

std::vector<Finding> Skops::host_findings(const Options& options, const Offline&) {
    return watch::host_findings({"skops-capability-missing", "skops-kernel-feature-missing"}, options.cgroup_path,
                                options.strategy == Strategy::transition);
}

Result<void> Skops::prepare() {
    auto program = Program::load(
        options_, [this](flowd_level level, std::string_view line) { host().log(level, line); },
        [this](const skops_record& record) { keep(record); });
    if (!program) return std::move(program).error();
    program_ = *std::move(program);
    return {};
}

Result<void> Skops::start() {
    if (options_.strategy == Strategy::poll) return {};
    auto readable = host().watch(program_->fd(), FLOWD_IO_READ, [this](std::uint32_t) { program_->drain(); });
    if (!readable) return std::move(readable).error();
    readable_ = *std::move(readable);
    return {};
}

Result<void> Skops::stop(Deadline) {
    readable_.reset();
    program_.reset();
    return {};
}

void Skops::keep(const skops_record& record) {
    if (kept_.size() >= max_kept && kept_.count(record.cookie) == 0) {
        ++not_kept_;
        return;
    }
    kept_[record.cookie] = record;
}

void Skops::sample(const FlowBatch& flows, bool last, Samples& samples) {
    if (!std::exchange(collecting_, true)) index_.begin();
    index_.add(flows);
    if (!last) return;
    collecting_ = false;
    const auto began = std::chrono::steady_clock::now();
    monotonic_to_unix_ns_ =
        unix_time_ns() - std::chrono::duration_cast<std::chrono::nanoseconds>(began.time_since_epoch()).count();
    sockets_ = 0;
    if (options_.strategy == Strategy::poll)
        take_walk(samples);
    else
        take_kept(samples);
    last_period_ = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - began);
    counters_.publish();
}

void Skops::take_walk(Samples& samples) {
    bool complete = true;
    if (index_.flows() > 0) {
        ++walks_;
        const auto walked = program_->walk([&](const skops_record& record) { add(record, samples); });
        complete = walked.ok();
        if (!complete) {
            ++failures_;
            last_error_ = walked.error().message;
            streak_.failed(last_error_);
        } else {
            streak_.worked();
        }
    }
    index_.finish(complete, std::chrono::steady_clock::now(), [&](std::uint64_t flow_id) {
        flowd_sample sample{};
        sample.flow_id = flow_id;
        sample.time_ns = unix_time_ns();
        sample.flags = FLOWD_SAMPLE_GONE;
        samples.add(sample);
        ++gone_;
    });
}

void Skops::take_kept(Samples& samples) {
    program_->drain();
    std::erase_if(kept_, [&](const auto& entry) {
        add(entry.second, samples);
        return entry.second.state == tcp_close;
    });
    // A connection without a change of state is not gone.
    index_.finish(false, std::chrono::steady_clock::now(), [](std::uint64_t) {});
}

void Skops::add(const skops_record& record, Samples& samples) {
    ++sockets_;
    const auto claim = index_.claim({key_of(record), record.cookie});
    if (!claim) return;
    flowd_sample sample{};
    sample.flow_id = claim->flow_id;
    sample.time_ns = static_cast<std::int64_t>(record.time_ns) + monotonic_to_unix_ns_;
    sample.tcp_info = {reinterpret_cast<const std::uint8_t*>(&record.info), sizeof record.info};
    sample.congestion = {record.congestion, ::strnlen(record.congestion, sizeof record.congestion)};
    sample.cookie = record.cookie;
    sample.tcp_state = record.state;
    if (const auto usage = net::tcp_usage(sample.tcp_info, record.fin_received != 0)) claim->give_usage(*usage, sample);
    samples.add(sample);
    ++samples_;
}

void Skops::status(json::Writer& object) const {
    object.member("summary", index_.summary());
    object.member("strategy", options_.strategy == Strategy::poll ? "poll" : "transition");
    counters_.status(object);
    object.key("lastPeriod").object();
    object.member("flows", index_.flows()).member("matched", index_.matched()).member("sockets", sockets_);
    object.member("otherConnections", index_.other_connections());
    object.member("seconds", std::chrono::duration<double>(last_period_).count());
    object.end();
    if (!last_error_.empty()) object.member("lastError", last_error_);
}

}  // namespace flowd::skops
