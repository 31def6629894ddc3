// SPDX-License-Identifier: Apache-2.0
#include "plugins/fireflyp/event_batch.hpp"

#include "flowd/sized.hpp"
#include "lib/firefly/address_text.hpp"
#include "lib/firefly/blocks.hpp"
#include "lib/firefly/event.hpp"

namespace flowd::fireflyp {
namespace {

/// Numbers may become longer when they are reprinted: with this limit the core accepts the event for any datagram.
constexpr std::size_t most_block_bytes = 128 * 1024;

}  // namespace

void EventBatch::clear() {
    text_.clear();
    events_.clear();
    items_.clear();
    attachments_.clear();
}

EventBatch::Piece EventBatch::keep(std::string_view text, std::string_view more) {
    const Piece piece{text_.size(), text.size() + more.size()};
    text_.append(text).append(more);
    return piece;
}

void EventBatch::add(const firefly::Firefly& firefly, const net::Datagram& datagram, const firefly::Provenance& provenance,
                     std::uint64_t sender) {
    flowd_event event = firefly::to_event(firefly);
    event.sender = sender;
    events_.push_back(event);
    const std::size_t before = attachments_.size();
    Item item;
    item.application = keep(to_view(event.application));
    attachments_.push_back({keep(FLOWD_ATTACHMENT_DATAGRAM), {}, datagram.payload, 0});
    const Piece peer = keep(FLOWD_ATTACHMENT_PEER);
    std::size_t at = text_.size();
    firefly::append_endpoint(text_, datagram.peer);
    attachments_.push_back({peer, since(at), {}, 0});
    const Piece id = keep(firefly::provenance_attachment);
    at = text_.size();
    firefly::append_text(text_, provenance);
    attachments_.push_back({id, since(at), {}, FLOWD_ATTACHMENT_KEEP});
    std::size_t left = most_block_bytes;
    for (const firefly::Block& block : firefly.blocks) {
        if (block.json.size() > left) break;
        left -= block.json.size();
        const Piece name = keep(firefly::block_attachment, block.name);
        attachments_.push_back({name, keep(block.json), {}, 0});
    }
    item.attachments = attachments_.size() - before;
    items_.push_back(item);
}

std::span<const flowd_event> EventBatch::events() {
    raw_.clear();
    for (const Attachment& attachment : attachments_)
        raw_.push_back({sizeof(flowd_attachment), attachment.flags, to_c(view(attachment.id)),
                        to_bytes(attachment.outside.empty() ? view(attachment.bytes) : attachment.outside)});
    std::size_t next = 0;
    for (std::size_t i = 0; i < events_.size(); ++i) {
        events_[i].application = to_c(view(items_[i].application));
        events_[i].attachments = raw_.data() + next;
        events_[i].attachment_count = items_[i].attachments;
        events_[i].attachment_stride = sizeof(flowd_attachment);
        next += items_[i].attachments;
    }
    return events_;
}

}  // namespace flowd::fireflyp
