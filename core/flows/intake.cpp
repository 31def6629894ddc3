// SPDX-License-Identifier: Apache-2.0
#include "core/flows/intake.hpp"

#include <algorithm>
#include <cstring>

#include "core/flows/flow_key.hpp"
#include "core/flows/kept_attachments.hpp"
#include "core/flows/sized.hpp"

namespace flowd::core {
namespace {

constexpr std::uint32_t plugin_flags = FLOWD_LEARNT_REMOTELY | FLOWD_METERED | FLOWD_NOT_TO_PEER;
constexpr std::size_t max_attachment_id = 128;
constexpr std::size_t least_event = offsetof(flowd_event, tag) + sizeof(flowd_tag);
constexpr std::size_t least_attachment = offsetof(flowd_attachment, bytes) + sizeof(flowd_bytes);

bool is_zero(const std::uint8_t* bytes, std::size_t count) {
    return std::all_of(bytes, bytes + count, [](std::uint8_t byte) { return byte == 0; });
}

std::optional<Refusal> check_attachments(Incoming& in) {
    const flowd_event& event = in.event;
    in.attachment_count = 0;
    in.attachment_bytes = 0;
    std::size_t kept_bytes = 0;
    if (event.attachment_count == 0) return std::nullopt;
    if (event.attachment_count > in.attachment.size() || event.attachments == nullptr) return Refusal::bad_attachments;
    if (event.attachment_stride < least_attachment || event.attachment_stride % alignof(flowd_attachment) != 0)
        return Refusal::bad_size;
    const auto* at = reinterpret_cast<const std::byte*>(event.attachments);
    for (std::size_t i = 0; i < event.attachment_count; ++i, at += event.attachment_stride) {
        flowd_attachment& own = in.attachment[i];
        if (!copy_sized_within(at, event.attachment_stride, least_attachment, own)) return Refusal::bad_size;
        const bool absent = (own.id.data == nullptr) || (own.bytes.data == nullptr && own.bytes.length > 0);
        if (absent || own.id.length == 0 || own.id.length > max_attachment_id) return Refusal::bad_attachments;
        if ((own.flags & ~std::uint32_t{FLOWD_ATTACHMENT_KEEP}) != 0) return Refusal::bad_flags;
        if (own.bytes.length > Bus::max_attachment_bytes) return Refusal::bad_attachments;
        const std::size_t length = own.id.length + own.bytes.length;
        in.attachment_bytes += length;
        if (is_kept(own)) kept_bytes += length;
        if (in.attachment_bytes > Bus::max_attachment_bytes || kept_bytes > Bus::max_kept_bytes)
            return Refusal::bad_attachments;
    }
    in.attachment_count = event.attachment_count;
    return std::nullopt;
}

std::optional<Refusal> check_flow(const flowd_event& event) {
    const flowd_key& key = event.key;
    if (key.protocol == 0) return Refusal::bad_protocol;
    if (!is_zero(key.reserved, sizeof key.reserved)) return Refusal::bad_reserved;
    // What flowd-go's catch-all mode announces; a wildcard is no flow.
    if (is_zero(key.source, 16) && is_zero(key.destination, 16)) return Refusal::bad_address;
    return std::nullopt;
}

}  // namespace

std::optional<Refusal> take_in(const void* data, std::size_t stride, Incoming& in) {
    flowd_event& event = in.event;
    if (!copy_sized_within(data, stride, least_event, event)) return Refusal::bad_size;
    if ((event.flags & ~plugin_flags) != 0) return Refusal::bad_flags;
    event.precedence = 0;
    event.announcer = {};
    event.samples = nullptr;
    event.sample_count = 0;
    event.sample_stride = 0;
    const bool of_flow =
        event.kind == FLOWD_EVENT_START || event.kind == FLOWD_EVENT_ONGOING || event.kind == FLOWD_EVENT_END;
    if (!of_flow && event.kind != FLOWD_EVENT_CATCH_ALL && event.kind != FLOWD_EVENT_CATCH_ALL_CLEAR)
        return Refusal::bad_kind;
    if (!is_zero(event.reserved, sizeof event.reserved)) return Refusal::bad_reserved;
    if (event.local > FLOWD_LOCAL_NONE || event.initiator > FLOWD_INITIATOR_DESTINATION) return Refusal::bad_enum;
    if (event.time_ns < 0 || event.start_time_ns < 0 || event.end_time_ns < 0) return Refusal::bad_times;
    if (event.end_time_ns != 0 && event.end_time_ns < event.start_time_ns) return Refusal::bad_times;
    if (event.application.length > Bus::max_application ||
        (event.application.data == nullptr && event.application.length > 0))
        return Refusal::bad_text;
    if (of_flow)
        if (const auto refusal = check_flow(event)) return refusal;
    return check_attachments(in);
}

void turn_round(flowd_event& event) {
    event.usage = reversed(event.usage);
    event.local = reversed_end(event.local);
    event.initiator = reversed_end(event.initiator);
}

}  // namespace flowd::core
