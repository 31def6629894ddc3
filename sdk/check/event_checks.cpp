// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <array>
#include <atomic>
#include <limits>

#include "sdk/check/guarded_memory.hpp"
#include "sdk/check/life.hpp"

namespace flowd::check {

namespace {

constexpr std::int64_t second = 1'000'000'000;
constexpr std::int64_t some_time = 1'700'000'000 * second;

/// Documentation addresses (RFC 3849): nothing of it exists.
flowd_key key_of(std::uint16_t number) {
    flowd_key key{};
    key.source[0] = key.destination[0] = 0x20;
    key.source[1] = key.destination[1] = 0x01;
    key.source[2] = key.destination[2] = 0x0d;
    key.source[3] = key.destination[3] = 0xb8;
    key.source[15] = 1;
    key.destination[15] = 2;
    key.source_port = number;
    key.destination_port = 443;
    key.protocol = 6;
    return key;
}

flowd_event event_of(std::uint32_t kind, std::uint16_t number) {
    flowd_event event{};
    event.size = sizeof event;
    event.kind = kind;
    event.flow_id = 1000u + number;
    event.key = key_of(number);
    event.tag = {14, 26};
    event.time_ns = some_time;
    event.start_time_ns = some_time - second;
    if (kind == FLOWD_EVENT_END) event.end_time_ns = some_time;
    return event;
}

std::vector<flowd_event> start_and_end(std::uint16_t flows) {
    std::vector<flowd_event> events;
    for (std::uint16_t i = 1; i <= flows; ++i) {
        events.push_back(event_of(FLOWD_EVENT_START, i));
        events.push_back(event_of(FLOWD_EVENT_ONGOING, i));
        events.push_back(event_of(FLOWD_EVENT_END, i));
    }
    return events;
}

/// Offers a batch to a live backend as the core does: the rest again after `ready`, and goes on behind what is refused.
class Delivery {
  public:
    Delivery(Life& life, ProbeHost& host, const GuardedArray<flowd_event>& events)
        : life_(life), host_(host), events_(events) {
        host_.on_ready([this] { offer(); });
    }
    void offer() {
        while (!done_) {
            std::size_t taken = 0;
            const std::size_t rest = events_.count() - at_;
            const std::size_t readies = host_.readies();
            const flowd_result result = life_.on_events(events_.at(at_), rest, events_.stride(), taken);
            taken_ += taken;
            at_ += taken;
            idle_ = taken == 0 ? idle_ + 1 : 0;
            if (result == FLOWD_INVALID) {
                at_ += at_ < events_.count() ? 1 : 0;
            } else if (result == FLOWD_FULL) {
                if (idle_ >= most_idle) return fail(fmt::format("returned FLOWD_FULL {} times and took nothing", idle_));
                is_full_ = true;
                if (host_.readies() == readies) return;  // ready follows
            } else if (result != FLOWD_OK) {
                return fail("returned " + result_name(result));
            }
            is_full_ = false;
            if (at_ == events_.count()) done_ = true;
        }
    }
    [[nodiscard]] bool done() const { return done_; }  ///< [any]
    [[nodiscard]] Outcome outcome() const {
        if (!fault_.empty()) return Outcome::fail("on_events " + fault_);
        if (is_full_) return Outcome::fail("on_events returned FLOWD_FULL, and ready was not called within two seconds");
        return Outcome::pass();
    }
    [[nodiscard]] std::size_t taken() const { return taken_; }

  private:
    static constexpr std::size_t most_idle = 1000;
    void fail(std::string fault) {
        fault_ = std::move(fault);
        is_full_ = false;
        done_ = true;
    }

    Life& life_;
    ProbeHost& host_;
    const GuardedArray<flowd_event>& events_;
    std::size_t at_ = 0;
    std::size_t taken_ = 0;
    std::size_t idle_ = 0;
    bool is_full_ = false;
    std::atomic<bool> done_{false};
    std::string fault_;
};

/// Every batch may be taken, in parts too, and events may be refused for good; any other answer loses events.
Outcome deliver(Subject& subject, std::span<const flowd_event> events, std::size_t extra, std::size_t at_least = 0) {
    return with_life(subject, [&](Life& life, ProbeHost& host) {
        if (!life.up()) return Outcome::skip(life.down());
        const GuardedArray<flowd_event> array(events, extra);
        Delivery delivery(life, host, array);
        life.live({[&] { delivery.offer(); }}, std::chrono::milliseconds(100), [&] { return delivery.done(); });
        life.destroy();
        Outcome outcome = delivery.outcome();
        if (outcome.verdict == Outcome::Verdict::passed && delivery.taken() < at_least)
            return Outcome::fail(fmt::format("on_events refused {} of {} well-formed events",
                                             events.size() - delivery.taken(), events.size()));
        return outcome;
    });
}

Outcome no_events(Subject& subject) {
    return deliver(subject, {}, 0);
}

Outcome well_formed_events(Subject& subject) {
    const auto events = start_and_end(300);
    return deliver(subject, events, 0, events.size());
}

Outcome exact_events(Subject& subject) {
    return deliver(subject, start_and_end(100), 0);
}

Outcome longer_events(Subject& subject) {
    return deliver(subject, start_and_end(100), 64);
}

Outcome unknown_events(Subject& subject) {
    std::vector<flowd_event> events;
    for (const std::uint32_t kind : {0u, 6u, 77u, std::numeric_limits<std::uint32_t>::max()}) {
        events.push_back(event_of(kind, 1));
        events.back().flags = std::numeric_limits<std::uint32_t>::max();
        events.back().local = 250;
        events.back().initiator = 250;
        events.back().end_reason = 250;
        events.back().usage.source = 250;
    }
    events.push_back(event_of(FLOWD_EVENT_START, 2));
    return deliver(subject, events, 0, 1);
}

Outcome extreme_events(Subject& subject) {
    std::vector<flowd_event> events;
    events.push_back(event_of(FLOWD_EVENT_START, 0));
    events.back().tag = {0, 0};
    events.push_back(event_of(FLOWD_EVENT_START, 2));
    events.back().tag = {std::numeric_limits<std::uint32_t>::max(), std::numeric_limits<std::uint32_t>::max()};
    events.push_back(event_of(FLOWD_EVENT_END, 3));
    events.back().start_time_ns = std::numeric_limits<std::int64_t>::max();
    events.back().end_time_ns = std::numeric_limits<std::int64_t>::min();
    events.back().usage = {~0ull, ~0ull, ~0ull, ~0ull, ~0u, ~0u};
    events.back().flags = FLOWD_NO_START;
    events.push_back(event_of(FLOWD_EVENT_START, 4));
    events.back().key = flowd_key{};
    events.push_back(event_of(FLOWD_EVENT_CATCH_ALL, 5));
    events.back().key = flowd_key{};
    events.push_back(event_of(FLOWD_EVENT_CATCH_ALL_CLEAR, 5));
    events.back().key = flowd_key{};
    return deliver(subject, events, 0);
}

Outcome attachments_of_all_kinds(Subject& subject) {
    static constexpr char odd[] = "\xff\x00\x1b[2J\"}";
    static constexpr std::uint8_t bytes[] = {0, 255, '"', '}'};
    std::array<flowd_attachment, 4> attachments{};
    const flowd_string ids[] = {{FLOWD_ATTACHMENT_DATAGRAM, sizeof FLOWD_ATTACHMENT_DATAGRAM - 1},
                                {"flowd.json/storage", 18},
                                {"org.example.unknown/7", 21},
                                {nullptr, 0}};
    for (std::size_t i = 0; i < attachments.size(); ++i)
        attachments[i] = {sizeof(flowd_attachment), 0, ids[i], {bytes, i == 3 ? 0 : sizeof bytes}};
    auto events = start_and_end(1);
    for (flowd_event& event : events) {
        event.application = {odd, sizeof odd - 1};
        event.attachments = attachments.data();
        event.attachment_count = attachments.size();
        event.attachment_stride = sizeof(flowd_attachment);
    }
    return deliver(subject, events, 0);
}

/// Samples as enrichers of other kernels give them: no, short and long tcp_info.
Outcome samples_of_any_kernel(Subject& subject) {
    const GuardedMemory none(0), short_one(300), long_one(600);
    const std::array<const std::byte*, 3> info{none.data(), short_one.data(), long_one.data()};
    std::array<flowd_sample, 3> samples{};
    for (std::size_t i = 0; i < samples.size(); ++i) {
        samples[i].size = sizeof(flowd_sample);
        samples[i].flow_id = 1001;
        samples[i].time_ns = some_time;
        samples[i].source = {"netlink", 7};
        samples[i].tcp_info = {reinterpret_cast<const std::uint8_t*>(info[i]), i * 300};
        samples[i].tcp_state = 255;
    }
    auto events = start_and_end(1);
    for (flowd_event& event : events) {
        event.flags |= FLOWD_SAMPLED;
        event.samples = samples.data();
        event.sample_count = samples.size();
        event.sample_stride = sizeof(flowd_sample);
    }
    return deliver(subject, events, 0);
}

Outcome end_without_start(Subject& subject) {
    const std::array<flowd_event, 3> events{event_of(FLOWD_EVENT_END, 1), event_of(FLOWD_EVENT_ONGOING, 2),
                                            event_of(FLOWD_EVENT_END, 1)};
    return deliver(subject, events, 0);
}

struct Sampled {
    std::size_t count = 0;
    ProbeHost* host = nullptr;
};

flowd_samples sink_for(Sampled& sampled) {
    flowd_samples samples{};
    samples.size = sizeof samples;
    samples.context = &sampled;
    samples.add = [](const flowd_samples* self, const flowd_sample* sample) -> flowd_result {
        auto& into = *static_cast<Sampled*>(self->context);
        ++into.count;
        if (sample->size < sizeof(flowd_sample))
            into.host->breach(fmt::format("add was given a sample of size {}", sample->size));
        return FLOWD_OK;
    };
    return samples;
}

Outcome give_flows(Subject& subject, std::uint16_t number, std::size_t extra) {
    return with_life(subject, [&](Life& life, ProbeHost& host) {
        if (!life.up()) return Outcome::skip(life.down());
        std::vector<flowd_flow> flows(number);
        for (std::uint16_t i = 0; i < number; ++i) {
            flows[i].size = sizeof(flowd_flow);
            flows[i].flow_id = 1000u + i;
            flows[i].key = key_of(i);
            flows[i].tag = {14, 26};
            flows[i].start_time_ns = flows[i].seen_time_ns = some_time;
        }
        const GuardedArray<flowd_flow> array(flows, extra);
        Sampled sampled{0, &host};
        const flowd_samples sink = sink_for(sampled);
        flowd_result result = FLOWD_OK;
        life.live({[&] {
            for (const bool last : {false, true})
                result = life.sample(array.data(), array.count(), array.stride(), last, &sink);
        }});
        life.destroy();
        if (sampled.count > 2u * number)
            return Outcome::fail(fmt::format("sample added {} samples for {} flows", sampled.count, number));
        return result < 0 && number == 0 ? Outcome::fail("sample without flows returned " + result_name(result))
                                         : Outcome::pass();
    });
}

Outcome no_flows(Subject& subject) {
    return give_flows(subject, 0, 0);
}
Outcome many_flows(Subject& subject) {
    return give_flows(subject, 1000, 0);
}
Outcome longer_flows(Subject& subject) {
    return give_flows(subject, 100, 64);
}

Outcome with_emit_answer(Subject& subject, flowd_result answer) {
    Oddity oddity;
    oddity.emit_answer = answer;
    return with_life(
        subject,
        [](Life& life, ProbeHost& host) {
            // A plugin that cannot do without its first event may refuse to start.
            if (!life.up()) return life.unexplained() ? Outcome::skip(life.down()) : Outcome::absent(life.down());
            life.live({[&] { life.on_room(); }}, std::chrono::milliseconds(200));
            life.destroy();
            constexpr std::size_t most = 100'000;
            if (host.emits() > most) return Outcome::fail("emit was called over and over although nothing is accepted");
            return Outcome::pass();
        },
        oddity);
}

Outcome emit_full(Subject& subject) {
    return with_emit_answer(subject, FLOWD_FULL);
}
Outcome emit_stopped(Subject& subject) {
    return with_emit_answer(subject, FLOWD_STOPPED);
}
Outcome emit_refused(Subject& subject) {
    return with_emit_answer(subject, FLOWD_LIMIT);
}
Outcome emit_unknown(Subject& subject) {
    return with_emit_answer(subject, -77);
}

}  // namespace

std::vector<Check> event_checks() {
    return {
        {"events-none", "on_events takes an empty batch", backends, no_events},
        {"events-taken", "on_events takes well-formed events, all of them, in parts with ready after FLOWD_FULL", backends,
         well_formed_events},
        {"events-exact", "on_events walks by stride and reads no event beyond its size", backends, exact_events},
        {"events-longer", "on_events takes the longer events of a later core", backends, longer_events},
        {"events-unknown", "on_events skips unknown kinds and flags, and takes the events after them", backends,
         unknown_events},
        {"events-extreme", "on_events takes tags, times, ports and counts at their limits", backends, extreme_events},
        {"events-unpaired", "on_events takes an end without a start, and a second end", backends, end_without_start},
        {"events-attachments", "on_events takes unknown and odd attachments and application names", backends,
         attachments_of_all_kinds},
        {"events-samples", "on_events takes TCP information of any length", backends, samples_of_any_kernel},
        {"sample-none", "sample takes an empty period", enrichers, no_flows},
        {"sample-many", "sample adds at most one sample per flow and batch", enrichers, many_flows},
        {"sample-longer", "sample takes the longer flows of a later core", enrichers, longer_flows},
        {"emit-full", "a plugin whose emit returns FLOWD_FULL does not spin and stops in time", plugins, emit_full},
        {"emit-stopped", "a plugin whose emit returns FLOWD_STOPPED does not spin and stops in time", plugins,
         emit_stopped},
        {"emit-refused", "a plugin whose flows exceed a limit continues", plugins, emit_refused},
        {"emit-unknown", "a plugin does not crash if emit returns an unknown result", plugins, emit_unknown},
    };
}

}  // namespace flowd::check
