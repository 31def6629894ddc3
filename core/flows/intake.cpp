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
constexpr std::uint32_t usage_bits = FLOWD_USAGE_BYTES | FLOWD_USAGE_PACKETS;
constexpr std::size_t max_attachment_id = 128;
constexpr std::size_t least_event = offsetof(flowd_event, tag) + sizeof(flowd_tag);
constexpr std::size_t least_attachment = offsetof(flowd_attachment, bytes) + sizeof(flowd_bytes);

/// At most 16 bytes.
bool is_zero(const std::uint8_t* bytes, std::size_t count) {
    static constexpr std::uint8_t zeros[16]{};
    return std::memcmp(bytes, zeros, count) == 0;
}

std::optional<Refusal> check_flow(const flowd_event& event) {
    const flowd_key& key = event.key;
    if (key.protocol == 0) return Refusal::bad_protocol;
    if (!is_zero(key.reserved, sizeof key.reserved)) return Refusal::bad_reserved;
    // Announced by flowd-go's catch-all mode; a wildcard is not a flow.
    if (is_zero(key.source, 16) && is_zero(key.destination, 16)) return Refusal::bad_address;
    return std::nullopt;
}

bool is_of_flow(std::uint32_t kind) {
    return kind == FLOWD_EVENT_START || kind == FLOWD_EVENT_ONGOING || kind == FLOWD_EVENT_END;
}

/// All members but the tag, the application and the time belong to a flow.
std::optional<Refusal> check_catch_all(const flowd_event& event) {
    static constexpr flowd_key no_key{};
    const flowd_usage& usage = event.usage;
    const bool measured = (usage.bytes_sent | usage.bytes_received | usage.packets_sent | usage.packets_received |
                           usage.source | usage.known) != 0;
    const bool of_flow = std::memcmp(&event.key, &no_key, sizeof no_key) != 0 || event.flow_id != 0 || measured ||
                         event.start_time_ns != 0 || event.end_time_ns != 0 || event.rule.length != 0 ||
                         event.attachment_count != 0;
    return of_flow ? std::optional(Refusal::bad_catch_all) : std::nullopt;
}

bool is_end_reason_of_plugin(const flowd_event& event) {
    switch (event.end_reason) {
        case FLOWD_END_UNKNOWN:
            return true;
        case FLOWD_END_ANNOUNCED:
        case FLOWD_END_IDLE:
        case FLOWD_END_SOCKET_GONE:
        case FLOWD_END_WITHDRAWN:
            return event.kind == FLOWD_EVENT_END;
        default:
            return false;
    }
}

bool is_absent(flowd_string text) {
    return text.data == nullptr && text.length > 0;
}

}  // namespace

bool is_known(const flowd_usage& usage) {
    return (usage.known & ~usage_bits) == 0;
}

flowd_string cut_at_character(flowd_string text, std::size_t most) {
    if (text.length <= most) return text;
    // A character has at most four bytes; text that is not UTF-8 is truncated anywhere.
    std::size_t length = most;
    while (length > 0 && most - length < 4 && (static_cast<std::uint8_t>(text.data[length]) & 0xc0) == 0x80) --length;
    return {text.data, most - length < 4 ? length : most};
}

std::optional<Refusal> take_in_attachments(const flowd_attachment* attachments, std::size_t count, std::size_t stride,
                                           flowd_attachment* to) {
    if (count == 0) return std::nullopt;
    if (count > Bus::max_attachments || attachments == nullptr) return Refusal::bad_attachments;
    if (stride < least_attachment || stride % alignof(flowd_attachment) != 0) return Refusal::bad_size;
    std::size_t bytes = 0;
    const auto* at = reinterpret_cast<const std::byte*>(attachments);
    for (std::size_t i = 0; i < count; ++i, at += stride) {
        flowd_attachment& own = to[i];
        if (!copy_sized_within(at, stride, least_attachment, own)) return Refusal::bad_size;
        const bool absent = own.id.data == nullptr || (own.bytes.data == nullptr && own.bytes.length > 0);
        if (absent || own.id.length == 0 || own.id.length > max_attachment_id) return Refusal::bad_attachments;
        if ((own.flags & ~std::uint32_t{FLOWD_ATTACHMENT_KEEP}) != 0) return Refusal::bad_flags;
        if (own.bytes.length > Bus::max_attachment_bytes) return Refusal::bad_attachments;
        bytes += own.id.length + own.bytes.length;
        if (bytes > Bus::max_attachment_bytes) return Refusal::bad_attachments;
    }
    return std::nullopt;
}

std::optional<Refusal> take_in(const void* data, std::size_t stride, std::uint32_t own_scope, Incoming& in) {
    flowd_event& event = in.event;
    if (!copy_sized_within(data, stride, least_event, event)) return Refusal::bad_size;
    event.precedence = 0;
    event.announcer = {};
    event.samples = nullptr;
    event.sample_count = 0;
    event.sample_stride = 0;
    const bool of_flow = is_of_flow(event.kind);
    if (!of_flow && event.kind != FLOWD_EVENT_CATCH_ALL && event.kind != FLOWD_EVENT_CATCH_ALL_CLEAR)
        return Refusal::bad_kind;
    if ((event.flags & ~plugin_flags) != 0 || !is_known(event.usage)) return Refusal::bad_flags;
    // A flow has the flags that all instances set. Without this, a flow that one learnt and another meters had neither.
    if ((event.flags & FLOWD_LEARNT_REMOTELY) != 0) event.flags |= FLOWD_NOT_TO_PEER;
    if (!is_zero(event.reserved, sizeof event.reserved)) return Refusal::bad_reserved;
    if (event.local > FLOWD_LOCAL_NONE || event.initiator > FLOWD_INITIATOR_DESTINATION) return Refusal::bad_enum;
    if (!is_end_reason_of_plugin(event)) return Refusal::bad_enum;
    if (event.time_ns < 0 || event.start_time_ns < 0 || event.end_time_ns < 0) return Refusal::bad_times;
    if (is_absent(event.application) || is_absent(event.rule)) return Refusal::bad_text;
    event.application = cut_at_character(event.application, Bus::max_application);
    event.rule = cut_at_character(event.rule, Bus::max_rule);
    if (const auto refusal = of_flow ? check_flow(event) : check_catch_all(event)) return refusal;
    normalise(event.key, own_scope);
    if (const auto refusal =
            take_in_attachments(event.attachments, event.attachment_count, event.attachment_stride, in.attachment.data()))
        return refusal;
    in.attachment_count = event.attachment_count;
    in.keeps = std::any_of(in.attachments().begin(), in.attachments().end(), is_kept);
    return std::nullopt;
}

void turn_round(flowd_event& event) {
    event.usage = reversed(event.usage);
    event.local = reversed_end(event.local);
    event.initiator = reversed_end(event.initiator);
}

}  // namespace flowd::core
