// SPDX-License-Identifier: Apache-2.0
#include "plugins/perfsonar/flow_keeper.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "lib/bpf/flow_key.hpp"

namespace flowd::perfsonar {
namespace {

constexpr std::int64_t second_ns = 1'000'000'000;
/// The core ends a metered flow that is not refreshed (flows.idleTimeout, 60 s): refresh each well before that.
constexpr std::int64_t alive_period_ns = 20 * second_ns;
/// How long a closed connection stays in the table, so that its last packets do not look like another flow.
constexpr std::int64_t linger_ns = 5 * second_ns;
/// Longer than a packet spends in a BPF program.
constexpr std::int64_t grace_ns = 2 * second_ns;
/// For flows that came in and were not answered: scans, and packets that a firewall drops.
constexpr std::int64_t unanswered_ns = 10 * second_ns;
/// After one side has closed: RFC 9293 has no limit, this is conntrack's.
constexpr std::int64_t half_closed_ns = 120 * second_ns;
/// How long a flow whose interface is gone has to appear on another.
constexpr std::int64_t lost_interface_ns = 5 * second_ns;

std::int64_t signed_ns(std::uint64_t time) {
    return static_cast<std::int64_t>(time);
}

flowd_usage usage_of(const meter_flow& flow) {
    return {flow.bytes[METER_OUT],  flow.bytes[METER_IN], flow.packets[METER_OUT],
            flow.packets[METER_IN], FLOWD_USAGE_METER,    FLOWD_USAGE_BYTES | FLOWD_USAGE_PACKETS};
}

flowd_usage minus(flowd_usage usage, const flowd_usage& before) {
    usage.bytes_sent -= before.bytes_sent;
    usage.bytes_received -= before.bytes_received;
    usage.packets_sent -= before.packets_sent;
    usage.packets_received -= before.packets_received;
    return usage;
}

}  // namespace

flowd_key key_of(const meter_flow& flow) {
    const bool low = (flow.flags & METER_LOCAL_IS_LOW) != 0;
    flowd_key key{};
    std::memcpy(key.source, low ? flow.key.low : flow.key.high, sizeof key.source);
    std::memcpy(key.destination, low ? flow.key.high : flow.key.low, sizeof key.destination);
    key.source_port = ntohs(low ? flow.key.low_port : flow.key.high_port);
    key.destination_port = ntohs(low ? flow.key.high_port : flow.key.low_port);
    key.protocol = flow.key.protocol;
    return key;
}

FlowKeeper::FlowKeeper(Host& host, FlowSlots& slots, const PerfsonarOptions& options, std::int64_t now_ns,
                       UnixClock unix_clock)
    : host_(host), slots_(slots), options_(options), unix_clock_(std::move(unix_clock)), second_(now_ns / second_ns) {}

void FlowKeeper::enter(std::int64_t now_ns) {
    own_is_fresh_ = false;
    unix_offset_ns_ = unix_clock_() - now_ns;
}

void FlowKeeper::on_events(std::span<const meter_event> events, std::int64_t now_ns) {
    enter(now_ns);
    for (const meter_event& event : events)
        if (const auto flow = slots_.read(event.slot)) look(event.slot, *flow, now_ns);
    pump();
}

void FlowKeeper::scan(std::int64_t now_ns) {
    enter(now_ns);
    ++counts_.scans;
    slots_.for_each([&](std::uint32_t slot) {
        if (const auto flow = slots_.read(slot)) look(slot, *flow, now_ns);
    });
    pump();
}

FlowKeeper::Record& FlowKeeper::record_of(std::uint32_t slot, const meter_flow& flow, std::int64_t now_ns) {
    const auto [found, is_new] = records_.try_emplace(slot);
    Record& record = found->second;
    if (!is_new) return record;
    begin(record, signed_ns(flow.start_ns));
    record.ongoing_ns = now_ns;
    schedule(slot, record, now_ns + std::min(alive_period_ns, idle_limit(record, flow)));
    return record;
}

void FlowKeeper::begin(Record& record, std::int64_t start_ns) const {
    record.start_ns = start_ns;
    record.start_unix_ns = start_ns + unix_offset_ns_;
}

/// Independent of the kernel's events: the flow itself contains all information.
void FlowKeeper::look(std::uint32_t slot, const meter_flow& flow, std::int64_t now_ns) {
    if (flow.start_ns == 0) return;  // freed meanwhile
    Record& record = record_of(slot, flow, now_ns);
    if (record.told == Told::nothing && (flow.flags & METER_WORTHY) != 0) announce(slot, record, flow);
    if ((flow.flags & METER_ENDED) == 0 || record.told == Told::end || record.is_hidden) return;
    finish(slot, record);
    schedule(slot, record, now_ns + linger_ns);
}

void FlowKeeper::announce(std::uint32_t slot, Record& record, const meter_flow& flow) {
    if (is_own(flow)) {
        record.told = Told::never;
        record.why = Verdict::own;
        ++counts_.own;
    } else if (options_.exclude.includes(key_of(flow))) {
        record.told = Told::never;
        record.why = Verdict::excluded;
        ++counts_.excluded;
    } else {
        record.told = Told::start;
        ++announced_;
        push(slot, record, What::start);
    }
}

bool FlowKeeper::is_own(const meter_flow& flow) {
    if ((flow.flags & METER_OWN) != 0) return true;
    if (!std::exchange(own_is_fresh_, true)) own_.refresh();
    if (flow.cookie != 0 && own_.has(flow.cookie)) return true;
    // A connection to the daemon that was over before it was examined.
    const bool came_in = (flow.flags & METER_OPENED_OUT) == 0;
    return came_in && flow.key.protocol == IPPROTO_TCP && own_.listens_on(source_of(key_of(flow)));
}

/// Announces its end, if its start was announced.
void FlowKeeper::finish(std::uint32_t slot, Record& record) {
    if (record.told == Told::start) {
        --announced_;
        push(slot, record, What::end);
    } else if (record.told == Told::nothing) {
        ++counts_.silent;
    }
    record.told = Told::end;
}

void FlowKeeper::hide(std::uint32_t slot, Record& record, std::int64_t now_ns) {
    slots_.hide(slot);
    record.is_hidden = true;
    schedule(slot, record, now_ns + grace_ns);
}

void FlowKeeper::schedule(std::uint32_t slot, Record& record, std::int64_t at_ns) {
    // Rounded up, and never into the second that the wheel is processing.
    const std::int64_t second = std::max((at_ns + second_ns - 1) / second_ns, second_ + 1);
    record.visit_second = std::min<std::int64_t>(second, second_ + static_cast<std::int64_t>(wheel_size) - 1);
    wheel_[static_cast<std::size_t>(record.visit_second) % wheel_size].push_back(slot);
}

std::int64_t FlowKeeper::idle_limit(const Record& record, const meter_flow& flow) const {
    const std::int64_t udp = std::chrono::nanoseconds(options_.idle_timeout).count();
    const std::int64_t tcp = std::chrono::nanoseconds(options_.tcp_idle_timeout).count();
    const bool is_tcp = flow.key.protocol == IPPROTO_TCP;
    std::int64_t limit = is_tcp ? tcp : udp;
    if ((flow.flags & METER_SENT) == 0) limit = std::min(limit, unanswered_ns);
    if (is_tcp && flow.packets[METER_IN] == 0) limit = std::min(limit, udp);
    if ((flow.flags & (METER_FIN_OUT | METER_FIN_IN)) != 0) limit = std::min(limit, half_closed_ns);
    return record.lost_interface ? std::min(limit, lost_interface_ns) : limit;
}

void FlowKeeper::tick(std::int64_t now_ns) {
    enter(now_ns);
    const std::int64_t now_second = now_ns / second_ns;
    // After a long sleep every slot of the wheel is due once.
    second_ = std::max(second_, now_second - static_cast<std::int64_t>(wheel_size));
    while (second_ < now_second) {
        ++second_;
        const auto due = std::exchange(wheel_[static_cast<std::size_t>(second_) % wheel_size], {});
        for (const std::uint32_t slot : due) {
            const auto found = records_.find(slot);
            if (found != records_.end() && found->second.visit_second <= second_) visit(slot, now_ns);
        }
    }
    pump();
}

void FlowKeeper::visit(std::uint32_t slot, std::int64_t now_ns) {
    Record& record = records_.at(slot);
    if (record.is_hidden) {
        if (record.waiting > 0) return schedule(slot, record, now_ns + grace_ns);
        slots_.clear(slot);
        records_.erase(slot);
        return;
    }
    const auto flow = slots_.read(slot);
    if (!flow) return schedule(slot, record, now_ns + second_ns);
    look(slot, *flow, now_ns);
    if ((flow->flags & METER_ENDED) != 0) {
        if (signed_ns(flow->end_ns) + linger_ns <= now_ns) hide(slot, record, now_ns);
        return;
    }
    const std::int64_t silent_since = signed_ns(flow->last_ns);
    if (record.lost_interface && silent_since > now_ns - lost_interface_ns) record.lost_interface = false;
    const std::int64_t end = silent_since + idle_limit(record, *flow);
    if (end <= now_ns) {
        // In this order: what follows is another flow, after the end of this one.
        hide(slot, record, now_ns);
        finish(slot, record);
        return;
    }
    keep_alive(slot, record, *flow, now_ns);
    schedule(slot, record, std::min(end, now_ns + alive_period_ns));
}

void FlowKeeper::keep_alive(std::uint32_t slot, Record& record, const meter_flow& flow, std::int64_t now_ns) {
    const flowd_usage usage = usage_of(flow);
    if (record.told == Told::elsewhere) {
        const bool goes_on =
            usage.bytes_sent + usage.bytes_received > record.before.bytes_sent + record.before.bytes_received;
        if (!goes_on) return;
        record.flow_id = 0;
        begin(record, now_ns);
        announce(slot, record, flow);
        return;
    }
    if (record.told != Told::start || record.flow_id == 0 || outbox_.full()) return;
    const auto period = std::chrono::nanoseconds(options_.ongoing).count();
    const bool is_ongoing = period > 0 && now_ns - record.ongoing_ns >= period;
    if (is_ongoing) record.ongoing_ns = now_ns;
    push(slot, record, is_ongoing ? What::ongoing : What::again);
}

bool FlowKeeper::offer() {
    outbox_.drain();
    pump();
    return waiting() == 0;
}

std::size_t FlowKeeper::unannounced() const {
    const auto starts =
        std::count_if(waiting_.begin(), waiting_.end(), [](const Waiting& one) { return one.what == What::start; });
    return static_cast<std::size_t>(starts) + outbox_.waiting_starts();
}

void FlowKeeper::reconfigure(const PerfsonarOptions& options, std::int64_t now_ns) {
    const bool is_retagged = !same_tag(options_.tag(), options.tag());
    enter(now_ns);
    options_ = options;
    for (auto& [slot, record] : records_) {
        if (record.is_hidden) continue;  // it stays hidden until its time is over
        if (record.told == Told::start && is_retagged) push(slot, record, What::again);
        schedule(slot, record, now_ns);  // its limits may be shorter now
    }
    pump();
}

void FlowKeeper::interface_gone(std::uint32_t index, std::int64_t now_ns) {
    for (auto& [slot, record] : records_) {
        if (record.is_hidden) continue;
        const auto flow = slots_.read(slot);
        if (!flow || flow->ifindex != index) continue;
        record.lost_interface = true;
        schedule(slot, record, now_ns + lost_interface_ns);
    }
}

void FlowKeeper::end_all() {
    is_stopping_ = true;
    for (auto& [slot, record] : records_)
        if (record.told == Told::start) finish(slot, record);
}

Verdict FlowKeeper::verdict_on(const flowd_key& key) const {
    if (key.protocol != IPPROTO_TCP && key.protocol != IPPROTO_UDP) return Verdict::protocol;
    const auto slot = slots_.find(bpf::to_flow_key(key));
    const auto found = slot ? records_.find(*slot) : records_.end();
    if (found == records_.end()) return Verdict::not_metered;
    switch (found->second.told) {
        case Told::nothing:
            return Verdict::too_small;
        case Told::start:
            return Verdict::metered;
        case Told::never:
            return found->second.why;
        case Told::end:
        case Told::elsewhere:
            break;
    }
    return Verdict::over;
}

void FlowKeeper::push(std::uint32_t slot, Record& record, What what) {
    ++record.waiting;
    waiting_.push_back({slot, what});
}

void FlowKeeper::pump() {
    while (!outbox_.full() && !waiting_.empty()) {
        const Waiting next = waiting_.front();
        Record& record = records_.at(next.slot);
        // After a refused start nothing more of the flow is announced; emit has to have returned before that is known.
        if (next.what != What::start && record.flow_id == 0 && !outbox_.flush()) return;
        waiting_.pop_front();
        flowd_event event{};
        if (fill(next, event))
            outbox_.add(event, std::uint64_t{next.slot} << 8 | static_cast<std::uint64_t>(next.what));
        else
            --record.waiting;
    }
    outbox_.flush();
}

bool FlowKeeper::fill(const Waiting& waiting, flowd_event& event) const {
    const Record& record = records_.at(waiting.slot);
    if (waiting.what != What::start && record.flow_id == 0) return false;
    const auto flow = slots_.read(waiting.slot);
    if (!flow) return false;
    const bool is_end = waiting.what == What::end;
    event.flow_id = waiting.what == What::start ? 0 : record.flow_id;  // so that it cannot start or end another flow
    event.size = sizeof event;
    event.kind = is_end ? FLOWD_EVENT_END : waiting.what == What::ongoing ? FLOWD_EVENT_ONGOING : FLOWD_EVENT_START;
    event.flags = FLOWD_METERED;
    if (options_.collectors_only) event.flags |= FLOWD_NOT_TO_PEER;
    event.key = key_of(*flow);
    event.tag = options_.tag();
    event.local = flow->cookie != 0 ? FLOWD_LOCAL_SOURCE : FLOWD_LOCAL_NONE;
    if ((flow->flags & METER_OPENING_SEEN) != 0)
        event.initiator = (flow->flags & METER_OPENED_OUT) != 0 ? FLOWD_INITIATOR_SOURCE : FLOWD_INITIATOR_DESTINATION;
    event.start_time_ns = record.start_unix_ns;
    event.usage = minus(usage_of(*flow), record.before);
    if (waiting.what == What::start) event.time_ns = record.start_unix_ns;
    if (is_end) {
        const bool was_closed = (flow->flags & METER_ENDED) != 0 && flow->end_ns != 0;
        const std::int64_t end_ns = signed_ns(was_closed ? flow->end_ns : flow->last_ns);
        event.end_time_ns = record.start_unix_ns + std::max<std::int64_t>(0, end_ns - record.start_ns);
        event.time_ns = event.end_time_ns;
        event.end_reason = was_closed ? FLOWD_END_ANNOUNCED : is_stopping_ ? FLOWD_END_WITHDRAWN : FLOWD_END_IDLE;
    }
    return true;
}

void FlowKeeper::settle(const Outbox::Settled& settled) {
    const auto what = static_cast<What>(settled.token & 0xff);
    const auto slot = static_cast<std::uint32_t>(settled.token >> 8);
    Record& record = records_.at(slot);
    --record.waiting;
    const bool taken = settled.result == FLOWD_OK;
    const bool has_ended = taken && settled.flow_id == 0;  // in the core, by another instance or by expiry
    if (what == What::end) {
        if (taken && !has_ended) ++counts_.ended;
    } else if (has_ended) {
        if (record.told != Told::start) return;
        --announced_;
        record.told = Told::elsewhere;
        if (const auto flow = slots_.read(slot)) record.before = usage_of(*flow);
    } else if (what == What::start) {
        if (taken) {
            ++counts_.started;
            record.flow_id = settled.flow_id;
        } else {
            ++counts_.refused;
            if (record.told == Told::start) --announced_;
            if (record.told != Told::end) record.told = Told::never;
        }
    }
}

}  // namespace flowd::perfsonar
