// SPDX-License-Identifier: Apache-2.0
#include "lib/firefly/composer.hpp"

#include <algorithm>
#include <utility>

#include "lib/firefly/event.hpp"
#include "lib/net/tcp_info.hpp"

namespace flowd::firefly {

/// From the netlink enricher's sample, if there is one; otherwise from the first one that has it.
std::optional<double> Composer::rtt_of(const EventView& event) {
    std::optional<double> found;
    for (const flowd_sample& sample : event.samples()) {
        const auto rtt = net::rtt_us(sample.tcp_info);
        if (rtt && (!found || block_name(to_view(sample.source)) == "netlink")) found = *rtt / 1000.0;
    }
    return found;
}

void Composer::begin(const EventView& event, std::int64_t now_ns, double rtt_ms) {
    firefly_ = from_event(*event, now_ns);
    // Another instance (with another name, before a reload) may have sent the start before this one existed.
    if (event.is_start() && event.has(FLOWD_RESYNC) && event->start_time_ns < since_ns_) firefly_.state = State::ongoing;
    make_public(firefly_.key.source);
    make_public(firefly_.key.destination);
    blocks_.clear();
    texts_.clear();
    texts_.reserve(event->attachment_count + 2 * event->sample_count);
    layout_.reset();
    add_samples(event);
    add_attachments(event);
    // A measurement of this host is newer than that of a received firefly.
    if (rtt_ms != 0) firefly_.rtt_ms = rtt_ms;
    firefly_.blocks = blocks_;
}

void Composer::call_it_a_start() {
    firefly_.state = State::start;
    layout_.reset();
}

void Composer::add_samples(const EventView& event) {
    for (const flowd_sample& sample : event.samples()) {
        if (!firefly_.has_usage && (sample.usage.known & FLOWD_USAGE_BYTES) != 0) {
            firefly_.has_usage = true;
            firefly_.received = sample.usage.bytes_received;
            firefly_.sent = sample.usage.bytes_sent;
        }
        const std::string_view name = block_name(to_view(sample.source));
        auto block = sample_block(sample, verbosity_);
        if (!block || !is_block_name(name) || has_block(name)) continue;
        const std::string_view json = texts_.emplace_back(std::move(block->json));
        std::string_view shorter;
        if (verbosity_ != Verbosity::lean) shorter = texts_.emplace_back(sample_block(sample, Verbosity::lean)->json);
        blocks_.push_back({name, json, shorter});
    }
}

void Composer::add_attachments(const EventView& event) {
    for (const flowd_attachment& attachment : event.attachments()) {
        std::string_view name = to_view(attachment.id);
        if (!name.starts_with(block_attachment)) continue;
        name.remove_prefix(block_attachment.size());
        auto block = has_block(name) ? std::nullopt : reader_.normalise(name, to_view(attachment.bytes));
        if (!block) {
            ++bad_blocks_;
            continue;
        }
        if (name == "netlink") firefly_.rtt_ms = block->rtt_ms;
        blocks_.push_back({name, texts_.emplace_back(std::move(block->json)), {}, true});
    }
}

std::string_view Composer::print(const Layout& layout) {
    // Members are omitted in a fixed order: if the text fits a smaller limit, printing with that limit returns the same
    // text.
    const bool same = layout_ && layout_->syslog_header == layout.syslog_header && layout_->privacy == layout.privacy &&
                      printed_.text.size() <= layout.max_size && (layout.max_size <= layout_->max_size || printed_.whole());
    if (!same || printed_.text.empty()) {
        printed_ = printer_.print(firefly_, layout);
        layout_ = layout;
        left_out_ += printed_.left_out;
        shortened_ += printed_.shortened;
    }
    return printed_.text;
}

bool Composer::has_block(std::string_view name) const {
    if (std::find(reserved_.begin(), reserved_.end(), name) != reserved_.end()) return true;
    return std::any_of(blocks_.begin(), blocks_.end(), [&](const auto& block) { return block.name == name; });
}

void Composer::make_public(std::uint8_t (&address)[16]) const {
    if (public_addresses_.empty()) return;
    const auto found = public_addresses_.find(Address(address));
    if (found != public_addresses_.end()) std::copy(found->second.bytes().begin(), found->second.bytes().end(), address);
}

}  // namespace flowd::firefly
