// SPDX-License-Identifier: Apache-2.0
#include "backends/firefly/composer.hpp"

#include <algorithm>
#include <utility>

#include "lib/firefly/event.hpp"
#include "lib/net/tcp_info.hpp"

namespace flowd::firefly_backend {

std::string_view Composer::compose(const EventView& event, std::int64_t now_ns, std::size_t max_size) {
    firefly::Firefly firefly = firefly::from_event(*event, now_ns);
    make_public(firefly.key.source);
    make_public(firefly.key.destination);
    add_blocks(event, firefly);
    // What this host measured itself is newer than what a firefly brought.
    for (const flowd_sample& sample : event.samples()) {
        if (const auto rtt = net::rtt_us(sample.tcp_info)) firefly.rtt_ms = *rtt / 1000.0;
        if (!firefly.has_usage && (sample.flags & FLOWD_SAMPLE_HAS_USAGE) != 0) {
            firefly.has_usage = true;
            firefly.received = sample.usage.bytes_received;
            firefly.sent = sample.usage.bytes_sent;
        }
    }
    const auto printed = printer_.print(firefly, max_size);
    left_out_ += printed.left_out;
    return printed.text;
}

void Composer::add_blocks(const EventView& event, firefly::Firefly& firefly) {
    blocks_.clear();
    normal_.clear();
    normal_.reserve(event->attachment_count);  // the blocks point into it
    for (const flowd_attachment& attachment : event.attachments()) {
        std::string_view name = to_view(attachment.id);
        if (!name.starts_with(firefly::block_attachment)) continue;
        name.remove_prefix(firefly::block_attachment.size());
        const bool repeated =
            std::any_of(blocks_.begin(), blocks_.end(), [&](const auto& block) { return block.name == name; });
        auto block = repeated ? std::nullopt : reader_.normalise(name, to_view(attachment.bytes));
        if (!block) {
            ++bad_blocks_;
            continue;
        }
        if (name == "netlink") firefly.rtt_ms = block->rtt_ms;
        normal_.push_back(std::move(*block));
        blocks_.push_back({name, normal_.back().json});
    }
    firefly.blocks = blocks_;
}

void Composer::make_public(std::uint8_t (&address)[16]) const {
    if (public_addresses_.empty()) return;
    const auto found = public_addresses_.find(Address(address));
    if (found != public_addresses_.end()) std::copy(found->second.bytes().begin(), found->second.bytes().end(), address);
}

}  // namespace flowd::firefly_backend
