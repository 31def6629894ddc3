// SPDX-License-Identifier: Apache-2.0
#include "backends/marker/marker.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "bpf/socket_tag.h"
#include "flowd/counted.hpp"

namespace flowd::marker {
namespace {

constexpr std::chrono::seconds catch_all_patience{10};

std::string tag_text(flowd_tag tag) {
    return std::to_string(tag.experiment) + "/" + std::to_string(tag.activity);
}

}  // namespace

Result<void> Marker::prepare() {
    if (auto done = open_pins(options_); !done) return done;
    if (const auto warning = missing_ipv6(options_.strategy); !warning.empty()) host().warning(warning);
    auto marking = Marking::make(host(), options_, pins_ ? &*pins_ : nullptr);
    if (!marking) return std::move(marking).error();
    marking_ = *std::move(marking);
    if (auto done = marking_->attach_first(); !done) return done;
    // After the new filters are attached, so that packets are marked all the time.
    if (auto swept = marking_->attachments().sweep(); !swept)
        host().warning("leftovers could not be searched for: " + swept.error().message);
    tell_interfaces();  // all instances are prepared before any is started: a meter reads them in start
    return {};
}

Result<void> Marker::start() {
    if (auto done = watch(); !done) return done;
    if (auto done = marking_->guard(); !done) return done;
    if (auto done = share_socket_tags(); !done) return done;
    look_for_taggers();
    auto taggers = host().shared().on_change(FLOWD_SHARED_SOCKET_TAGGERS, [this] {
        if (marking_) look_for_taggers();
    });
    if (!taggers) return std::move(taggers).error();
    taggers_ = *std::move(taggers);
    publish();
    auto second = host().every(std::chrono::seconds(1), [this] {
        if (!marking_) return;
        marking_->table().renew_catch_all();
        series_->publish();
    });
    if (!second) return std::move(second).error();
    second_timer_ = *std::move(second);
    if (const auto adopted = marking_->table().adopted(); adopted != 0) {
        host().info("took over " + counted(adopted, "flow") + " that had marks before");
        if (auto done = expire_adopted(); !done) return done;
    }
    if (!options_.match_all && !marking_->table().has_catch_all()) return {};
    return await_catch_all();
}

Result<void> Marker::await_catch_all() {
    auto timer = host().after(catch_all_patience, [this] {
        if (marking_ && !knows_catch_all_ && marking_->table().has_catch_all()) set_catch_all(std::nullopt);
        if (marking_ && options_.match_all && !marking_->table().has_catch_all())
            host().warning("matchAll is set, but no plugin gives a catch-all tag: configure plugins.perfsonar");
    });
    if (!timer) return std::move(timer).error();
    catch_all_timer_ = *std::move(timer);
    return {};
}

Result<void> Marker::open_pins(const Options& options) {
    if (options.persist && !pins_) {
        auto pins = Pins::open(options.persist_path, host().instance());
        if (!pins) return std::move(pins).error();
        pins_.emplace(*std::move(pins));
    }
    if (options.persist) return {};
    // A program that a predecessor left attached would mark as well.
    if (auto gone = Pins::discard(options.persist_path, host().instance()); !gone)
        host().warning("what a predecessor left attached could not be removed: " + gone.error().message);
    return {};
}

Result<void> Marker::expire_adopted() {
    auto timer = host().every(options_.persist_idle, [this] {
        if (!marking_) return;
        marking_->table().expire_adopted();
        if (marking_->table().adopted() == 0) adopted_timer_.reset();
    });
    if (!timer) return std::move(timer).error();
    adopted_timer_ = *std::move(timer);
    return {};
}

Result<void> Marker::watch() {
    auto watch = host().watch(marking_->change_fd(), FLOWD_IO_READ, [this](std::uint32_t) {
        if (marking_->drain_changes()) attach_soon_.call();
    });
    if (!watch) return std::move(watch).error();
    change_watch_ = *std::move(watch);
    return {};
}

void Marker::publish() {
    series_ = std::make_unique<Series>(host(), *marking_);  // the new one first, so that no series is without an owner
}

Result<void> Marker::share_socket_tags() {
    return host().shared().offer(FLOWD_SHARED_SOCKET_TAGS, marking_->program().socket_tags());
}

void Marker::look_for_taggers() {
    const bool found = host().shared().obtain(FLOWD_SHARED_SOCKET_TAGGERS).has_value();
    if (auto done = marking_->look_into_sockets(found); !done)
        host().warning("flows that the catch-all covered: " + done.error().message);
}

Result<void> Marker::reconfigure(Options options) {
    // A change of persistence requires a new instance after this one has stopped.
    if (options.persist != options_.persist || options.persist_path != options_.persist_path)
        return Error{FLOWD_UNSUPPORTED, "a change of persist needs a new instance"};
    auto fresh = Marking::make(host(), options, pins_ ? &*pins_ : nullptr);
    if (!fresh) return std::move(fresh).error();
    if (const auto warning = missing_ipv6(options.strategy); !warning.empty()) host().warning(warning);
    if (auto done = (*fresh)->fill_from(*marking_); !done) return done;
    if (auto done = (*fresh)->attach_first(); !done) return done;
    change_watch_.reset();
    std::swap(marking_, *fresh);
    auto followed = watch();
    if (followed) followed = marking_->guard();
    if (!followed) {
        std::swap(marking_, *fresh);
        (void)watch();
        return followed;
    }
    options_ = std::move(options);
    said_full_ = false;
    series_->publish();  // the counts since its last publication
    publish();
    tell_interfaces();
    return share_socket_tags();
}

Result<void> Marker::stop(Deadline) {
    change_watch_.reset();
    taggers_.reset();
    attach_soon_.cancel();
    catch_all_timer_.reset();
    adopted_timer_.reset();
    second_timer_.reset();
    if (marking_ && series_) series_->publish();
    marking_.reset();
    pins_.reset();
    return {};
}

Taken Marker::on_events(const Events& events) {
    if (!marking_) return Taken::all();
    const TagTable& table = marking_->table();
    for (const EventView event : events) {
        switch (event->kind) {
            case FLOWD_EVENT_START:
                start_flow(*event);
                break;
            case FLOWD_EVENT_ONGOING:
                if (event.has(FLOWD_RETAGGED)) start_flow(*event);
                break;
            case FLOWD_EVENT_END:
                end_flow(event);
                break;
            case FLOWD_EVENT_CATCH_ALL:
                set_catch_all(event->tag);
                break;
            case FLOWD_EVENT_CATCH_ALL_CLEAR:
                clear_catch_all();
                break;
            default:
                break;
        }
    }
    // Only if an eighth of the table is free, so that a full table is not refilled for every flow that ends.
    if (!marking_->has_lost_flows() || table.size() >= table.capacity() - table.capacity() / 8) return Taken::all();
    if (auto done = marking_->refill(); !done) host().warning("flows that did not fit the table: " + done.error().message);
    return Taken::all();
}

void Marker::end_flow(EventView event) {
    TagTable& table = marking_->table();
    // The plugin stops, but the flow may continue: with persist, its mark remains.
    if (!options_.persist || event->end_reason != FLOWD_END_WITHDRAWN) return table.remove(event->key);
    table.leave(event->key);
    if (adopted_timer_) return;
    if (auto done = expire_adopted(); !done) host().warning("marks of idle flows: " + done.error().message);
}

void Marker::clear_catch_all() {
    // The plugin may stop shortly before this backend: with persist, the catch-all remains for a while.
    knows_catch_all_ = !options_.persist;
    if (options_.persist && await_catch_all()) return;
    set_catch_all(std::nullopt);
}

void Marker::set_catch_all(std::optional<flowd_tag> tag) {
    knows_catch_all_ = true;
    auto fits = marking_->set_catch_all(tag);
    if (!fits) return host().warning("flows that the catch-all covered: " + fits.error().message);
    if (!*fits)
        host().error("the catch-all tag " + tag_text(*tag) + " cannot be represented by " + name_of(options_.strategy) +
                     ": only announced flows are marked");
}

void Marker::start_flow(const flowd_event& event) {
    if (marking_->put(event.key, event.tag, event.flags) || std::exchange(said_full_, true)) return;
    host().error("the table of " + std::to_string(marking_->table().capacity()) +
                 " flows is full: further flows are not marked until others end; raise maxFlows");
}

}  // namespace flowd::marker

FLOWD_MODULE(flowd::marker::Marker);
