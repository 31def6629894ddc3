// SPDX-License-Identifier: Apache-2.0
#include "core/flows/flow_history.hpp"

#include <algorithm>

#include "core/flows/bus.hpp"
#include "core/flows/flow_filter.hpp"
#include "flowd/sized.hpp"

namespace flowd::core {
namespace {

constexpr std::size_t ended_per_page = 65'536;  // examined by one call

}  // namespace

std::uint64_t FlowHistory::first_number(std::int64_t now_ns) {
    return std::max<std::uint64_t>(static_cast<std::uint64_t>(std::max<std::int64_t>(now_ns, 0) / second_ns) << 20, 1);
}

FlowHistory::FlowHistory(std::size_t ended, std::int64_t now_ns)
    : first_(first_number(now_ns)), events_(events_kept, first_), ended_(&rings_.emplace_back(ended, first_)) {}

void FlowHistory::set_capacity(std::size_t ended) {
    SequenceRing<FlowRecord>& former = *ended_;
    if (former.capacity() == ended) return;
    const std::uint64_t next = former.next();
    const std::uint64_t first = next - std::min<std::uint64_t>(former.size(), ended);
    SequenceRing<FlowRecord>& fresh = rings_.emplace_back(ended, first);
    for (std::uint64_t number = first; number < next; ++number)
        (void)fresh.add([&](FlowRecord& out) { (void)former.get(number, out); });
    ended_.store(&fresh, std::memory_order_release);
    former.clear();
}

void FlowHistory::add_refusal(std::int64_t now_ns, std::string_view instance, std::string_view reason,
                              std::string_view sender, std::string_view first) {
    std::uint64_t suppressed = 0;
    {
        const std::lock_guard lock(refusals_mutex_);
        if (second_ != now_ns / second_ns) in_second_ = 0;
        second_ = now_ns / second_ns;
        if (++in_second_ > refusals_per_second) {
            ++suppressed_;
            return;
        }
        suppressed = std::exchange(suppressed_, 0);
    }
    const std::uint64_t number = refusals_.add([&](Refusal& out) {
        out.instance = instance.substr(0, max_text);
        out.reason = reason.substr(0, max_text);
        out.sender = sender.substr(0, max_text);
        out.first = first.substr(0, max_text);
        out.suppressed = suppressed;
    });
    add_event([&](ObservedRecord& out) {
        out = {};
        out.time_ns = now_ns;
        out.kind = FLOWD_OBSERVED_REFUSAL;
        out.refusal = number;
    });
}

flowd_result FlowHistory::page(const Membership& members, const flowd_flow_filter* filter, std::uint64_t& cursor,
                               std::size_t limit, const std::function<bool(const flowd_flow&)>& visitor) const {
    if (filter != nullptr)
        if (const flowd_result result = check(*filter); result != FLOWD_OK) return result;
    const SequenceRing<FlowRecord>& ring = *ended_.load(std::memory_order_acquire);
    // A cursor is the number after that of the next flow, because 0 is the beginning.
    if (cursor > ring.next() || (cursor != 0 && cursor <= first_)) return FLOWD_INVALID;
    std::uint64_t at = cursor == 0 ? ring.next() : cursor;
    const auto selects = [&](const FlowRecord& flow) {
        if (filter == nullptr) return true;
        if ((filter->members & FLOWD_FILTER_SENDER) != 0 && flow.sender != filter->sender) return false;
        if ((filter->members & FLOWD_FILTER_ANNOUNCER) != 0 && members.name(flow.announcer) != to_view(filter->announcer))
            return false;
        return passes(*filter, flow.key, flow.tag);
    };
    FlowRecord flow;
    std::size_t left = ended_per_page;
    for (bool more = true; more && at > ring.oldest() && limit > 0 && left > 0; --left) {
        if (ring.get(--at, flow) != SequenceRing<FlowRecord>::Place::there || !selects(flow)) continue;
        --limit;
        more = visitor(flow.view(members));
    }
    cursor = at > ring.oldest() ? at : 0;
    return FLOWD_OK;
}

flowd_result FlowHistory::read(const Membership& members, std::uint64_t& position, std::size_t limit, std::uint64_t& lost,
                               const std::function<bool(const flowd_observed&)>& visitor) const {
    using Place = SequenceRing<ObservedRecord>::Place;
    lost = 0;
    const std::uint64_t end = events_.next();
    if (position != 0 && (position < events_.first() || position > end)) return FLOWD_INVALID;
    std::uint64_t at = position == 0 ? events_.oldest() : position;
    ObservedRecord record;
    Refusal refusal;
    for (bool more = true; more && at < end && limit > 0;) {
        const std::uint64_t oldest = events_.oldest();
        if (at < oldest) {
            lost += oldest - at;
            at = oldest;
            continue;
        }
        const Place place = events_.get(at, record);
        if (place == Place::unwritten) break;  // its writer has only its number yet: the next call finds it
        const bool is_refusal = place == Place::there && record.kind == FLOWD_OBSERVED_REFUSAL;
        const bool has_texts = !is_refusal || refusals_.get(record.refusal, refusal) == SequenceRing<Refusal>::Place::there;
        if (place == Place::replaced || !has_texts) {
            ++lost;
            ++at;
            continue;
        }
        flowd_observed observed{};
        observed.size = sizeof observed;
        observed.kind = record.kind;
        observed.sequence = at++;
        observed.time_ns = record.time_ns;
        const flowd_flow flow = record.flow.view(members);
        if (is_refusal) {
            observed.instance = to_c(refusal.instance);
            observed.reason = to_c(refusal.reason);
            observed.sender = to_c(refusal.sender);
            observed.first = to_bytes(refusal.first);
            observed.suppressed = refusal.suppressed;
        } else {
            observed.flow = &flow;
            observed.former_tag = record.former_tag;
        }
        --limit;
        more = visitor(observed);
    }
    position = at;
    return FLOWD_OK;
}

}  // namespace flowd::core
