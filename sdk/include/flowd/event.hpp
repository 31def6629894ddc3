// SPDX-License-Identifier: Apache-2.0
// flowd/event.hpp: building flow events, and reading the ones a backend receives. Values and views; not thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flowd/abi/event.h"
#include "flowd/address.hpp"
#include "flowd/sized.hpp"

namespace flowd {

/// The current Unix time in nanoseconds.
[[nodiscard]] inline std::int64_t unix_time_ns() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

[[nodiscard]] constexpr bool same_tag(flowd_tag a, flowd_tag b) {
    return a.experiment == b.experiment && a.activity == b.activity;
}

/// An event to be emitted. Owns its texts and attachments. Members of the C struct are set through ->:
///   auto event = Event::start(key, tag); event->local = FLOWD_LOCAL_SOURCE; event.application("gridftp");
class Event {
  public:
    [[nodiscard]] static Event start(const flowd_key& key, flowd_tag tag) { return Event(FLOWD_EVENT_START, key, tag); }
    [[nodiscard]] static Event ongoing(const flowd_key& key, flowd_tag tag) { return Event(FLOWD_EVENT_ONGOING, key, tag); }
    [[nodiscard]] static Event end(const flowd_key& key, flowd_tag tag) { return Event(FLOWD_EVENT_END, key, tag); }
    [[nodiscard]] static Event catch_all(flowd_tag tag) { return Event(FLOWD_EVENT_CATCH_ALL, {}, tag); }
    [[nodiscard]] static Event catch_all_clear() { return Event(FLOWD_EVENT_CATCH_ALL_CLEAR, {}, {}); }

    flowd_event* operator->() { return &event_; }
    const flowd_event* operator->() const { return &event_; }

    Event& application(std::string name) {
        application_ = std::move(name);
        return *this;
    }
    /// The rule by which the plugin announces the flow: "rules[2]".
    Event& rule(std::string text) {
        rule_ = std::move(text);
        return *this;
    }
    /// `id` is one of FLOWD_ATTACHMENT_*, or a vendor's own "example.org/1"; `flags` is 0 or FLOWD_ATTACHMENT_KEEP.
    Event& attach(std::string id, std::string bytes, std::uint32_t flags = 0) {
        attachments_.push_back({std::move(id), std::move(bytes), flags});
        return *this;
    }

    /// The C struct. Borrows from this object: valid until it is changed, moved or destroyed.
    [[nodiscard]] const flowd_event& raw() const {
        event_.application = to_c(application_);
        event_.rule = to_c(rule_);
        raw_attachments_.clear();
        for (const auto& [id, bytes, flags] : attachments_)
            raw_attachments_.push_back({sizeof(flowd_attachment), flags, to_c(id), to_bytes(bytes)});
        event_.attachments = raw_attachments_.empty() ? nullptr : raw_attachments_.data();
        event_.attachment_count = raw_attachments_.size();
        event_.attachment_stride = sizeof(flowd_attachment);
        return event_;
    }

  private:
    Event(std::uint32_t kind, const flowd_key& key, flowd_tag tag) {
        event_.size = sizeof event_;
        event_.kind = kind;
        event_.key = key;
        event_.tag = tag;
    }

    mutable flowd_event event_{};
    mutable std::vector<flowd_attachment> raw_attachments_;
    std::string application_;
    std::string rule_;
    struct Attachment {
        std::string id;
        std::string bytes;
        std::uint32_t flags;
    };
    std::vector<Attachment> attachments_;
};

/// A received event. Borrowed: valid until on_events returns. Scalar members are read through ->.
class EventView {
  public:
    explicit EventView(const flowd_event& event) : event_(&event) {}

    const flowd_event* operator->() const { return event_; }
    const flowd_event& operator*() const { return *event_; }

    [[nodiscard]] bool is_start() const { return event_->kind == FLOWD_EVENT_START; }
    [[nodiscard]] bool is_ongoing() const { return event_->kind == FLOWD_EVENT_ONGOING; }
    [[nodiscard]] bool is_end() const { return event_->kind == FLOWD_EVENT_END; }
    [[nodiscard]] bool has(std::uint32_t flags) const { return (event_->flags & flags) == flags; }
    [[nodiscard]] Endpoint source() const { return source_of(event_->key); }
    [[nodiscard]] Endpoint destination() const { return destination_of(event_->key); }
    [[nodiscard]] std::string_view application() const { return to_view(event_->application); }
    [[nodiscard]] std::string_view announcer() const { return to_view(event_->announcer); }
    [[nodiscard]] std::string_view rule() const { return to_view(event_->rule); }
    [[nodiscard]] bool has_usage() const { return (event_->usage.known & FLOWD_USAGE_BYTES) != 0; }

    [[nodiscard]] SizedRange<flowd_attachment> attachments() const {
        return {event_->attachments, event_->attachment_count, event_->attachment_stride};
    }
    /// The bytes of the first attachment with that id; empty if there is none.
    [[nodiscard]] std::string_view attachment(std::string_view id) const {
        for (const flowd_attachment& one : attachments())
            if (to_view(one.id) == id) return to_view(one.bytes);
        return {};
    }
    [[nodiscard]] SizedRange<flowd_sample> samples() const {
        return {event_->samples, event_->sample_count, event_->sample_stride};
    }

  private:
    const flowd_event* event_;
};

/// A batch of events that a backend receives:  for (const flowd::EventView event : events) ...
class Events {
  public:
    class Iterator {
      public:
        using iterator_category = std::input_iterator_tag;
        using value_type = EventView;
        using difference_type = std::ptrdiff_t;
        using pointer = void;
        using reference = EventView;

        Iterator() = default;
        explicit Iterator(SizedRange<flowd_event>::Iterator at) : at_(std::move(at)) {}
        EventView operator*() const { return EventView(*at_); }
        Iterator& operator++() {
            ++at_;
            return *this;
        }
        void operator++(int) { ++at_; }
        friend bool operator==(const Iterator& a, const Iterator& b) { return a.at_ == b.at_; }

      private:
        SizedRange<flowd_event>::Iterator at_;
    };

    Events(const flowd_event* events, std::size_t count, std::size_t stride) : range_(events, count, stride) {}
    [[nodiscard]] Iterator begin() const { return Iterator(range_.begin()); }
    [[nodiscard]] Iterator end() const { return Iterator(range_.end()); }
    [[nodiscard]] std::size_t size() const { return range_.size(); }
    [[nodiscard]] bool empty() const { return range_.empty(); }

  private:
    SizedRange<flowd_event> range_;
};

/// The live flows that an enricher is asked to sample:  for (const flowd_flow& flow : flows) ...
using FlowBatch = SizedRange<flowd_flow>;

}  // namespace flowd
