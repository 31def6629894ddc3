// SPDX-License-Identifier: Apache-2.0
// The effect of an announcement or a sample on the flow table.
#include "core/flows/flow_table.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <random>
#include <utility>

#include "flowd/abi/ext/interfaces.h"
#include "flowd/address.hpp"
#include "flowd/event.hpp"
#include "flowd/sized.hpp"

namespace flowd::core {
namespace {

constexpr std::size_t samples_per_event = 8;  // of one flow in one period; more are shed

/// The inode number of this process's network namespace; 0 without /proc.
std::uint32_t network_namespace() {
    struct stat status {};
    return stat("/proc/self/ns/net", &status) == 0 ? static_cast<std::uint32_t>(status.st_ino) : 0;
}

std::uint64_t random_seed() {
    std::random_device device;
    return (std::uint64_t{device()} << 32 | device()) | 1;
}

/// 0/0 is no valid tag, 1/1 is default/default; any other is specific.
int weight_of(flowd_tag tag) {
    if (same_tag(tag, {0, 0})) return 0;
    return same_tag(tag, {1, 1}) ? 1 : 2;
}

/// Whether the tag of this announcement replaces the flow's.
bool replaces(flowd_tag tag, std::uint32_t precedence, bool owner, const Flow& flow) {
    const int fresh = weight_of(tag);
    const int present = weight_of(flow.tag);
    const bool higher = precedence > flow.precedence;
    if (fresh == 0 && present != 0) return (owner || higher) && flow.precedence <= FLOWD_PRECEDENCE_METER;
    if (owner) return fresh >= present;
    return higher || (precedence == flow.precedence && fresh > present);
}

std::uint8_t end_reason_of(const flowd_event& event) {
    return event.end_reason == FLOWD_END_UNKNOWN ? std::uint8_t{FLOWD_END_ANNOUNCED}
                                                 : static_cast<std::uint8_t>(event.end_reason);
}

std::int64_t first_of(std::int64_t a, std::int64_t b) {
    return a != 0 ? a : b;
}

/// One reporter per enricher, for all flows.
std::uint32_t reporter_of(flowd_string source) {
    return static_cast<std::uint32_t>(std::hash<std::string_view>()(to_view(source)));
}

}  // namespace

FlowTable::FlowTable(const FlowLimits& limits, Clock clock, std::unique_ptr<SocketProbe> probe, Membership& members,
                     FlowHistory& history)
    : clock_(std::move(clock)),
      own_scope_(network_namespace()),
      hash_(random_seed()),
      members_(members),
      history_(history),
      born_ns_(clock_.system_ns()),
      probe_(std::move(probe)),
      probe_due_ns_(clock_.steady_ns() + limits.probe_interval_ns) {
    for (std::uint32_t i = 0; i < shard_count; ++i) {
        shards_[i].store_.set(i, record_pages_);
        shards_[i].limits_ = limits;
        shards_[i].sums_.reserve();
    }
    if (probe_) read_own_addresses();
}

void FlowTable::set_limits(const FlowLimits& limits) {
    for (Shard& shard : shards_) {
        const std::lock_guard lock(shard);
        shard.limits_ = limits;
        shard.next_expiry_ns_ = 0;
    }
}

FlowLimits FlowTable::limits() const {
    const std::lock_guard lock(shards_.front());
    return shards_.front().limits_;
}

std::optional<Refusal> FlowTable::take_in(const void* event, std::size_t stride, Incoming& in) const {
    const auto refusal = core::take_in(event, stride, own_scope_, in);
    if (refusal || in.event.kind >= FLOWD_EVENT_CATCH_ALL) return refusal;
    in.key_hash = hash_(in.event.key);
    shards_[in.key_hash >> 59].store_.expect(in.key_hash);
    return refusal;
}

void FlowTable::expect_record(const Incoming& in) const {
    const std::uint32_t kind = in.event.kind;
    if (kind != FLOWD_EVENT_ONGOING && kind != FLOWD_EVENT_END) return;  // a start seldom has one
    const Shard& shard = shards_[in.key_hash >> 59];
    if (const std::unique_lock lock(shard, std::try_to_lock); lock) shard.store_.expect_record(in.key_hash);
}

Change FlowTable::decide(Shard& shard, const Offer& offer) {
    flowd_event& event = offer.in->event;
    Change change;
    Match direction = Match::none;
    change.found = shard.store_.find(event.key, offer.in->key_hash, direction);
    if (Flow* const newest = shard.store_.record_at(change.found); newest && shard.recipients_.are_leaving()) {
        leave_key(shard, *newest, offer.now);
        change.found = shard.store_.find(event.key, offer.in->key_hash, direction);
    }
    const bool of_end = event.kind == FLOWD_EVENT_END;
    const Flow* const flow = shard.store_.record_at(change.found);
    const bool is_live = flow != nullptr && flow->state == FlowState::live;
    if (event.flow_id != 0 && (!is_live || flow->id != event.flow_id)) {
        offer.tally.note(Effect::late);  // an event with a flow id does not apply to another flow of its tuple
    } else if (is_live) {
        change.flow_id = flow->id;
        if (direction == Match::reversed) turn_round(event);
        of_end ? decide_end(shard, offer, change) : decide_refresh(shard, offer, change);
    } else if (change.found == FlowStore::none && of_end) {
        change.step = Change::Step::end_unseen;
        require(shard, offer, FLOWD_EVENT_END, KeptAttachments::none, change);
    } else if (change.found == FlowStore::none ||
               (event.kind == FLOWD_EVENT_START && !is_start_of_ended(shard.store_.end_at(change.found), offer))) {
        decide_begin(shard, offer, change);
    } else {
        const bool is_enders = shard.store_.end_at(change.found).ender == offer.id.slot;
        offer.tally.note(of_end && is_enders ? Effect::double_end : Effect::late);
    }
    return change;
}

flowd_result FlowTable::apply(Shard& shard, const Offer& offer, Change& change, Outgoing& event) {
    if (change.step == Change::Step::begin) return begin(shard, offer, change, event);
    if (change.step == Change::Step::refresh) refresh(shard, offer, change, event);
    if (change.step == Change::Step::leave) leave(shard, offer, change);
    if (change.step == Change::Step::end) end(shard, offer, change, event);
    if (change.step == Change::Step::end_unseen) end_unseen(shard, offer, change, event);
    return FLOWD_OK;
}

/// Whether this start is a late one of the connection that has just ended, and not of the next one with its ports. Only
/// rules and meters know from the kernel when a connection began.
bool FlowTable::is_start_of_ended(const FlowEnd& ended, const Offer& offer) const {
    const std::uint32_t precedence = members_.announcer(offer.id.slot).precedence();
    if (precedence >= FLOWD_PRECEDENCE_EXPLICIT || precedence > ended.precedence || ended.ender == offer.id.slot)
        return false;
    if (ended.end_reason != FLOWD_END_ANNOUNCED) return false;  // the connection itself may still be open
    // The plugin's clock may be coarser than the kernel's: the time at which the end was announced counts as well.
    const std::int64_t told = offer.now.system - (offer.now.steady - ended.ended_ns);
    const std::int64_t start_ns = offer.in->event.start_time_ns;
    return start_ns != 0 && start_ns < std::max(ended.end_ns, told);
}

bool FlowTable::charge(const Shard& shard, Flow& flow, const Offer& offer) {
    const FlowLimits& limits = shard.limits_;
    const std::uint64_t sender = offer.in->event.sender;
    const bool of_sender = limits.max_per_sender != 0 && sender != 0;
    const auto refuse = [&](Refusal reason) {
        offer.tally.refuse(reason);
        return false;
    };
    // The first one may run out of memory; then nothing has been counted.
    if (of_sender && !senders_.charge(sender, limits.max_per_sender)) return refuse(Refusal::limit_sender);
    const auto give_back = [&](Refusal reason) {
        if (of_sender) senders_.discharge(sender);
        return refuse(reason);
    };
    if (live_.fetch_add(1, std::memory_order_relaxed) >= limits.max_live) {
        live_.fetch_sub(1, std::memory_order_relaxed);
        return give_back(Refusal::limit_live);
    }
    if (!members_.announcer(offer.id.slot).charge(limits.max_per_instance)) {
        live_.fetch_sub(1, std::memory_order_relaxed);
        return give_back(Refusal::limit_instance);
    }
    flow.charged = static_cast<std::uint8_t>(offer.id.slot);
    flow.sender_charged = of_sender;
    return true;
}

void FlowTable::fill(Shard& shard, Flow& flow, const Offer& offer, FlowTexts texts) {
    const flowd_event& event = offer.in->event;
    const Announcer& announcer = members_.announcer(offer.id.slot);
    const auto slot = static_cast<std::uint8_t>(offer.id.slot);
    flow.key = event.key;
    flow.start_ns = first_of(event.start_time_ns, first_of(event.time_ns, offer.now.system));
    flow.clock_ns = offer.now.system - offer.now.steady;
    flow.seen_ns = offer.now.steady;
    Announcements::begin(flow, slot, event.sender, static_cast<std::uint8_t>(event.flags));
    flow.owner = slot;
    flow.announcer = announcer.name_number();
    flow.precedence = static_cast<std::uint8_t>(announcer.precedence());
    flow.tag = event.tag;
    flow.texts = std::move(texts);
    flow.local = (event.local == FLOWD_LOCAL_UNKNOWN ? shard.own_->local_of(event.key) : event.local) & 7;
    flow.initiator = event.initiator & 3;
    take_usage(shard, flow, event.usage, reporter(slot, event.sender));  // the first one needs no memory
}

std::uint32_t FlowTable::reporter(std::uint32_t slot, std::uint64_t sender) {
    return static_cast<std::uint32_t>((sender ^ (sender >> 32)) * 64 + slot);
}

void FlowTable::require(const Shard& shard, const Offer& offer, std::uint32_t kind, std::uint32_t kept, Change& change) {
    change.must = true;
    change.wanting = shard.recipients_.taking(kind);
    change.to = change.wanting & ~change.behind;
    if (change.wanting != 0) change.bytes = shard.kept_.cost(kept, offer.in->attachments());
}

void FlowTable::decide_begin(Shard& shard, const Offer& offer, Change& change) {
    reclaim(shard, change.found, offer.now);
    change.step = Change::Step::begin;
    if (const Flow* const old = shard.store_.record_at(change.found))
        change.behind = (Recipients::owed(*old) & shard.recipients_.active()) | lagging(shard, *old);
    require(shard, offer, FLOWD_EVENT_START, KeptAttachments::none, change);
}

flowd_result FlowTable::begin(Shard& shard, const Offer& offer, Change& change, Outgoing& event) {
    const Incoming& in = *offer.in;
    NextKept kept(shard.kept_, KeptAttachments::none, in.to_keep(), attachments_not_kept_);
    FlowTexts texts = shard.texts_.intern(to_view(in.event.application), to_view(in.event.rule));
    if (change.wanting != 0) event.payload = kept.payload(in.attachments());
    shard.store_.reserve();
    Flow charged{};
    if (!charge(shard, charged, offer)) return FLOWD_LIMIT;

    // An ended flow of this key, whose end some backend has not received, must be delivered before.
    Flow* const old = shard.store_.record_at(change.found);
    const bool supersede = old != nullptr && (change.behind != 0 || old->older != FlowStore::none);
    if (old != nullptr && !supersede) drop(shard, *old);
    const std::uint32_t index = shard.store_.add();
    Flow& flow = shard.store_[index];
    flow.state = FlowState::live;
    flow.charged = charged.charged;
    flow.sender_charged = charged.sender_charged;
    if (supersede) {
        shard.store_.relink(change.found, index, in.key_hash);
        old->superseded = true;
        flow.older = change.found;
    } else if (FlowStore::is_tombstone(change.found)) {
        shard.store_.relink(change.found, index, in.key_hash);
        ended_kept_.fetch_sub(1, std::memory_order_relaxed);
    } else {
        shard.store_.link(index, in.key_hash);
    }
    fill(shard, flow, offer, std::move(texts));
    kept.give_to(flow.kept);
    expire_no_later_than(shard, flow);
    Recipients::told(flow, change.told, FLOWD_EVENT_START);
    if (change.wanting != 0) describe(event, flow, FLOWD_EVENT_START, first_of(in.event.time_ns, offer.now.system));
    change.flow_id = flow.id;
    offer.tally.note(Effect::started);
    ++shard.sums_.row(flow.tag, flow.local).started;
    observe(shard, flow, FLOWD_OBSERVED_START, offer.now.system);
    if (supersede) limit_earlier(shard, flow);
    return FLOWD_OK;
}

void FlowTable::decide_refresh(Shard& shard, const Offer& offer, Change& change) {
    const flowd_event& event = offer.in->event;
    const Flow& flow = shard.store_[change.found];
    const std::uint32_t precedence = members_.announcer(offer.id.slot).precedence();
    change.step = Change::Step::refresh;
    change.gives_tag = replaces(event.tag, precedence, flow.owner == offer.id.slot, flow);
    change.retag = change.gives_tag && !same_tag(flow.tag, event.tag);
    change.forward = event.kind == FLOWD_EVENT_ONGOING && precedence >= flow.precedence;
    change.behind = behind(shard, flow);
    if (change.retag) return require(shard, offer, FLOWD_EVENT_ONGOING, flow.kept, change);
    change.wanting = shard.recipients_.taking(FLOWD_EVENT_ONGOING);
    change.to = change.wanting & ~change.behind;
}

void FlowTable::refresh(Shard& shard, const Offer& offer, Change& change, Outgoing& out) {
    const flowd_event& event = offer.in->event;
    Flow& flow = shard.store_[change.found];
    const auto slot = static_cast<std::uint8_t>(offer.id.slot);
    const auto own_flags = static_cast<std::uint8_t>(event.flags);
    NextKept kept(shard.kept_, flow.kept, offer.in->to_keep(), attachments_not_kept_);
    const bool names_application = event.application.length > 0 && (change.gives_tag || flow.texts.application().empty());
    const std::string_view application = names_application ? to_view(event.application) : flow.texts.application();
    const std::string_view rule = change.gives_tag ? to_view(event.rule) : flow.texts.rule();
    const bool renamed = application != flow.texts.application() || rule != flow.texts.rule();
    FlowTexts texts = renamed ? shard.texts_.intern(application, rule) : FlowTexts();
    shard.announcements_.reserve();
    // The flags of a flow change only if this announcement's differ, or if others announce it as well.
    const bool is_metered = (event.flags & FLOWD_METERED) != 0;
    const bool may_tell =
        change.retag || change.forward || is_metered || flow.further != Announcements::none || flow.flags != own_flags;
    if (change.wanting != 0 && may_tell) out.payload = kept.payload(offer.in->attachments());
    // New counts of a meter are passed on like a sample.
    const bool is_measured = take_usage(shard, flow, event.usage, reporter(slot, event.sender)) && is_metered;
    const flowd_tag former_tag = flow.tag;

    const std::uint8_t flags = flow.flags;
    const bool joined = shard.announcements_.join(flow, slot, event.sender, own_flags);
    offer.tally.note(change.retag ? Effect::retagged : joined ? Effect::joined : Effect::refreshed);
    if (!change.gives_tag && !same_tag(flow.tag, event.tag)) offer.tally.note(Effect::tag_kept);
    flow.seen_ns = offer.now.steady;
    if (change.gives_tag) {
        const Announcer& announcer = members_.announcer(slot);
        flow.owner = slot;
        flow.announcer = announcer.name_number();
        flow.precedence = static_cast<std::uint8_t>(announcer.precedence());
        flow.tag = event.tag;
    }
    if (flow.local == FLOWD_LOCAL_UNKNOWN) flow.local = event.local & 7;
    if (flow.initiator == FLOWD_INITIATOR_UNKNOWN) flow.initiator = event.initiator & 3;
    if (renamed) {
        shard.texts_.release(flow.texts);
        flow.texts = std::move(texts);
    }
    kept.give_to(flow.kept);
    expire_no_later_than(shard, flow);

    const bool is_news = change.retag || change.forward || flags != flow.flags;
    if (is_news)
        observe(shard, flow, change.retag ? FLOWD_OBSERVED_RETAG : FLOWD_OBSERVED_ONGOING, offer.now.system,
                change.retag ? former_tag : flowd_tag{});
    if (!is_news && !is_measured) change.wanting = change.to = 0;
    if (change.wanting == 0) return;
    describe(out, flow, FLOWD_EVENT_ONGOING, first_of(event.time_ns, offer.now.system));
    if (!is_news) out.event.flags |= FLOWD_SAMPLED;
    if (!change.retag) return;
    out.event.flags |= FLOWD_RETAGGED;
    flow.retag = (flow.retag | change.wanting) & ~change.told;
}

bool FlowTable::may_end(const Shard& shard, const Flow& flow, AnnouncerId id, std::uint64_t sender) const {
    const auto slot = static_cast<std::uint8_t>(id.slot);
    if (flow.announcers >> slot & 1) return shard.announcements_.may_end(flow, slot, sender);
    return members_.announcer(slot).precedence() > highest_precedence(flow.announcers);
}

std::uint32_t FlowTable::highest_precedence(std::uint64_t of_announcers) const {
    std::uint32_t highest = 0;
    for_each_bit(of_announcers, [&](unsigned slot) { highest = std::max(highest, members_.announcer(slot).precedence()); });
    return highest;
}

void FlowTable::decide_end(Shard& shard, const Offer& offer, Change& change) {
    const flowd_event& event = offer.in->event;
    const Flow& flow = shard.store_[change.found];
    if (!may_end(shard, flow, offer.id, event.sender)) {
        offer.tally.note(Effect::foreign_end);
        return;
    }
    const std::uint64_t others = flow.announcers & ~(std::uint64_t{1} << offer.id.slot);
    const bool goes_on = others != 0 && event.end_reason == FLOWD_END_WITHDRAWN;
    if (goes_on || members_.announcer(offer.id.slot).precedence() < highest_precedence(others)) {
        change.step = Change::Step::leave;
        return;
    }
    change.step = Change::Step::end;
    change.behind = behind(shard, flow);
    require(shard, offer, FLOWD_EVENT_END, flow.kept, change);
}

void FlowTable::leave(Shard& shard, const Offer& offer, const Change& change) {
    const flowd_event& event = offer.in->event;
    Flow& flow = shard.store_[change.found];
    const auto slot = static_cast<std::uint8_t>(offer.id.slot);
    NextKept kept(shard.kept_, flow.kept, offer.in->to_keep(), attachments_not_kept_);
    take_usage(shard, flow, event.usage, reporter(slot, event.sender));
    kept.give_to(flow.kept);
    offer.tally.note(Effect::left);
    shard.announcements_.leave(flow, slot);
    if (flow.owner == slot) flow.disown();
    expire_no_later_than(shard, flow);
}

void FlowTable::end(Shard& shard, const Offer& offer, const Change& change, Outgoing& out) {
    const flowd_event& event = offer.in->event;
    const Now now = offer.now;
    Flow& flow = shard.store_[change.found];
    NextKept kept(shard.kept_, flow.kept, offer.in->to_keep(), attachments_not_kept_);
    const bool renamed = flow.texts.application().empty() && event.application.length > 0;
    FlowTexts texts = renamed ? shard.texts_.intern(to_view(event.application), flow.texts.rule()) : FlowTexts();
    if (change.wanting != 0) out.payload = kept.payload(offer.in->attachments());
    shard.owed_.push_back(flow.id);
    take_usage(shard, flow, event.usage, reporter(offer.id.slot, event.sender));
    kept.give_to(flow.kept);
    if (renamed) {
        shard.texts_.release(flow.texts);
        flow.texts = std::move(texts);
    }
    set_end(flow, first_of(event.end_time_ns, first_of(event.time_ns, now.steady + flow.clock_ns)), offer.tally);
    flow.end_reason = end_reason_of(event);
    shard.announcements_.clear(flow);
    flow.ender = static_cast<std::uint8_t>(offer.id.slot);
    if (change.wanting != 0) describe(out, flow, FLOWD_EVENT_END, first_of(event.time_ns, now.system));
    close(shard, flow, change.told, now);
    settle(shard, flow, now.steady);
    offer.tally.note(Effect::ended);
}

void FlowTable::set_end(Flow& flow, std::int64_t end_ns, Tally& tally) {
    if (end_ns < flow.start_ns) tally.note(Effect::clock_stepped);
    flow.end_ns = std::max(end_ns, flow.start_ns);
}

void FlowTable::end_unseen(Shard& shard, const Offer& offer, Change& change, Outgoing& out) {
    const flowd_event& event = offer.in->event;
    const Now now = offer.now;
    reclaim(shard, FlowStore::none, now);
    NextKept kept(shard.kept_, KeptAttachments::none, offer.in->to_keep(), attachments_not_kept_);
    FlowTexts texts = shard.texts_.intern(to_view(event.application), to_view(event.rule));
    if (change.wanting != 0) out.payload = kept.payload(offer.in->attachments());
    shard.store_.reserve();
    shard.owed_.push_back(0);  // so that it cannot fail below
    const std::uint32_t index = shard.store_.add();
    Flow& flow = shard.store_[index];
    shard.store_.link(index, offer.in->key_hash);
    shard.owed_.replace_last(flow.id);
    fill(shard, flow, offer, std::move(texts));
    kept.give_to(flow.kept);
    flow.state = FlowState::live;
    flow.charged = static_cast<std::uint8_t>(offer.id.slot);
    live_.fetch_add(1, std::memory_order_relaxed);
    members_.announcer(offer.id.slot).charge();
    flow.started = ~std::uint32_t{0};  // a flow that is over is delivered as an end alone
    shard.announcements_.clear(flow);
    flow.ender = static_cast<std::uint8_t>(offer.id.slot);
    flow.no_start = event.start_time_ns == 0;
    const std::int64_t at = first_of(event.time_ns, now.system);
    const std::int64_t end_ns = first_of(event.end_time_ns, at);
    flow.start_ns = first_of(event.start_time_ns, end_ns);
    set_end(flow, end_ns, offer.tally);
    flow.end_reason = end_reason_of(event);
    change.flow_id = flow.id;
    if (change.wanting != 0) describe(out, flow, FLOWD_EVENT_END, at);
    close(shard, flow, change.told, now);
    offer.tally.note(flow.no_start ? Effect::end_no_start : Effect::end_unseen);
    settle(shard, flow, now.steady);
}

std::uint32_t FlowTable::sample(Shard& shard, std::span<const SamplePeriod::Entry* const> of_flow, Now now,
                                Listener& listener, Outgoing& event) {
    samples_.fetch_add(of_flow.size(), std::memory_order_relaxed);
    Flow* const flow = shard.store_.by_id(of_flow.front()->sample.flow_id);
    if (!flow || flow->state != FlowState::live) {
        samples_unknown_.fetch_add(of_flow.size(), std::memory_order_relaxed);
        return 0;
    }
    bool gone = false;
    std::int64_t at = 0;
    std::vector<flowd_attachment> brought;
    std::vector<flowd_sample> told;
    for (const SamplePeriod::Entry* const entry : of_flow) {
        const flowd_sample& sample = entry->sample;
        gone = gone || (sample.flags & FLOWD_SAMPLE_GONE) != 0;
        at = std::max(at, sample.time_ns);
        if (take_usage(shard, *flow, sample.usage, reporter_of(sample.source))) flow->seen_ns = now.steady;
        brought.insert(brought.end(), entry->attachments.begin(), entry->attachments.end());
        if (told.size() < samples_per_event)
            told.push_back(sample);
        else
            samples_shed_.fetch_add(1, std::memory_order_relaxed);
    }
    if (!brought.empty()) NextKept(shard.kept_, flow->kept, brought, attachments_not_kept_).give_to(flow->kept);
    if (gone) {
        expire(shard, *flow, Expiry::enricher_gone, now, listener);
        return 0;
    }
    const std::uint32_t to = shard.recipients_.taking(FLOWD_EVENT_ONGOING) & ~behind(shard, *flow);
    if (to == 0) return 0;
    describe(event, *flow, FLOWD_EVENT_ONGOING, at ? at : now.system);
    event.event.flags |= FLOWD_SAMPLED;
    event.payload = shard.kept_.payload(flow->kept, {}, told);
    return to;
}

void FlowTable::count_shed_samples(const SamplePeriod& period) {
    samples_invalid_ += period.invalid();
    samples_shed_ += period.shed();
}

std::uint32_t FlowTable::flags_of(const Flow& flow) const {
    const std::uint32_t marks = marks_.load(std::memory_order_relaxed);
    const bool is_v4 = Address(flow.key.source).is_v4() && Address(flow.key.destination).is_v4();
    const bool is_marked = (marks & (is_v4 ? FLOWD_MARKS_IPV4 : FLOWD_MARKS_IPV6)) != 0 && weight_of(flow.tag) != 0 &&
                           flow.key.scope == 0 && (flow.local != FLOWD_LOCAL_NONE || (marks & FLOWD_MARKS_FORWARDED) != 0);
    return flow.flags | (is_marked ? std::uint32_t{FLOWD_MARKED} : 0);
}

void FlowTable::record(FlowRecord& out, const Shard& shard, const Flow& flow) const {
    const bool has_ended = flow.state == FlowState::ended;
    out.key = flow.key;
    out.id = flow.id;
    out.start_ns = flow.start_ns;
    out.end_ns = has_ended ? flow.end_ns : 0;
    out.seen_ns = has_ended ? flow.end_ns : flow.seen_ns + flow.clock_ns;
    out.sender = flow.sender;
    out.usage = flow.usage;
    out.tag = flow.tag;
    out.texts = flow.texts;
    out.flags = flags_of(flow) | (has_ended && flow.no_start ? std::uint32_t{FLOWD_NO_START} : 0);
    out.usage_source = flow.usage_source;
    out.announcers = has_ended ? 0 : shard.announcements_.count(flow);
    out.announcer = flow.announcer;
    out.precedence = flow.precedence;
    out.end_reason = has_ended ? flow.end_reason : std::uint8_t{0};
    out.local = flow.local;
    out.initiator = flow.initiator;
    out.usage_known = flow.usage_known;
}

void FlowTable::observe(const Shard& shard, const Flow& flow, std::uint32_t kind, std::int64_t time_ns,
                        flowd_tag former_tag) {
    history_.add_event([&](ObservedRecord& out) {
        record(out.flow, shard, flow);
        out.time_ns = time_ns;
        out.former_tag = former_tag;
        out.kind = kind;
    });
    if (kind == FLOWD_OBSERVED_END) history_.add_ended([&](FlowRecord& out) { record(out, shard, flow); });
}

bool FlowTable::take_usage(Shard& shard, Flow& flow, const flowd_usage& usage, std::uint32_t reporter) {
    const FlowTotals before = flow.usage;
    const bool is_first = flow.usage_known == 0;
    const bool moved = shard.usages_.take(flow, usage, reporter);
    // The first counts of a flow that is older than this process were summed, at least in part, by the previous one.
    if (!moved || (is_first && flow.start_ns < born_ns_)) return moved;
    MinuteSum& sum = shard.sums_.row(flow.tag, flow.local);
    sum.bytes_sent += flow.usage.bytes_sent - std::min(before.bytes_sent, flow.usage.bytes_sent);
    sum.bytes_received += flow.usage.bytes_received - std::min(before.bytes_received, flow.usage.bytes_received);
    return moved;
}

/// Sets each member once: the event is not zeroed before.
void FlowTable::describe(Outgoing& out, const Flow& flow, std::uint32_t kind, std::int64_t time_ns) const {
    const bool of_end = kind == FLOWD_EVENT_END;
    flowd_event& event = out.event;
    event.size = sizeof event;
    event.kind = kind;
    event.flags = flow.flags | (of_end && flow.no_start ? std::uint32_t{FLOWD_NO_START} : 0);
    event.local = flow.local;
    event.initiator = flow.initiator;
    event.reserved[0] = event.reserved[1] = 0;
    event.flow_id = flow.id;
    event.key = flow.key;
    event.tag = flow.tag;
    event.time_ns = time_ns;
    event.start_time_ns = flow.start_ns;
    event.end_time_ns = of_end ? flow.end_ns : 0;
    event.usage = Usages::of(flow);
    event.sender = flow.sender;
    event.precedence = flow.precedence;
    event.end_reason = of_end ? flow.end_reason : std::uint32_t{0};
    event.announcer = to_c(members_.name(flow.announcer));
    // Both refer to texts that the queued event keeps.
    event.application = event.rule = {};
    event.attachments = nullptr;
    event.samples = nullptr;
    event.attachment_count = event.attachment_stride = event.sample_count = event.sample_stride = 0;
    out.texts = flow.texts;
}

Outgoing FlowTable::event_due(const Shard& shard, const Flow& flow, std::uint32_t kind, Now now) const {
    Outgoing out;
    describe(out, flow, kind,
             kind == FLOWD_EVENT_START ? flow.start_ns
             : kind == FLOWD_EVENT_END ? flow.end_ns
                                       : now.system);
    out.payload = shard.kept_.payload(flow.kept);
    return out;
}

std::uint32_t FlowTable::lagging(const Shard& shard, const Flow& flow) {
    std::uint32_t owed = 0;
    for (std::uint32_t at = flow.older; at != FlowStore::none; at = shard.store_[at].older)
        owed |= Recipients::owed(shard.store_[at]);
    return owed & shard.recipients_.active();
}

std::uint32_t FlowTable::behind(const Shard& shard, const Flow& flow) {
    return ~shard.recipients_.started(flow) | flow.retag | lagging(shard, flow);
}

EarlierIds FlowTable::earlier(const Shard& shard, const Flow& flow) {
    EarlierIds ids;
    for (std::uint32_t at = flow.older; at != FlowStore::none && !ids.is_full(); at = shard.store_[at].older)
        ids.add_older(shard.store_[at].id);
    return ids;
}

void FlowTable::told(Shard& shard, const Flow& flow, std::uint32_t bit, std::uint32_t kind, Now now) {
    Flow& own = shard.store_[FlowStore::index_of(flow.id)];
    Recipients::told(own, bit, kind);
    if (kind == FLOWD_EVENT_END) settle_owed(shard, own, now);
}

bool SenderCounts::charge(std::uint64_t sender, std::uint64_t cap) {
    Stripe& stripe = stripes_[sender % stripes_.size()];
    const std::lock_guard lock(stripe.mutex);
    std::uint64_t& count = stripe.live[sender];
    if (count >= cap) return false;
    ++count;
    return true;
}

void SenderCounts::discharge(std::uint64_t sender) {
    Stripe& stripe = stripes_[sender % stripes_.size()];
    const std::lock_guard lock(stripe.mutex);
    const auto found = stripe.live.find(sender);
    if (found != stripe.live.end() && --found->second == 0) stripe.live.erase(found);
}

}  // namespace flowd::core
