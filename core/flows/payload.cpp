// SPDX-License-Identifier: Apache-2.0
#include "core/flows/payload.hpp"

#include <cstring>
#include <new>

namespace flowd::core {

std::shared_ptr<const Payload> Payload::copy(std::span<const flowd_attachment> attachments,
                                             std::span<const flowd_sample> samples) {
    if (attachments.empty() && samples.empty()) return nullptr;
    return std::make_shared<const Payload>(attachments, samples);
}

Payload::Payload(std::span<const flowd_attachment> attachments, std::span<const flowd_sample> samples)
    : attachment_count_(attachments.size()), sample_count_(samples.size()) {
    static_assert(sizeof(flowd_attachment) % alignof(flowd_sample) == 0, "samples follow attachments without a gap");
    bytes_ = attachments.size_bytes() + samples.size_bytes();
    const std::size_t headers = bytes_;
    for (const auto& attachment : attachments) bytes_ += attachment.id.length + attachment.bytes.length;
    for (const auto& sample : samples) bytes_ += sample.source.length + sample.tcp_info.length + sample.congestion.length;
    storage_ = std::make_unique<std::byte[]>(bytes_);

    std::byte* free = storage_.get() + headers;
    const auto place = [&free](const void* data, std::size_t length) {
        std::byte* const at = free;
        if (length > 0) std::memcpy(at, data, length);
        free += length;
        return at;
    };
    const auto text = [&place](flowd_string string) {
        return flowd_string{reinterpret_cast<const char*>(place(string.data, string.length)), string.length};
    };
    const auto raw = [&place](flowd_bytes bytes) {
        return flowd_bytes{reinterpret_cast<const std::uint8_t*>(place(bytes.data, bytes.length)), bytes.length};
    };
    std::byte* header = storage_.get();
    for (const auto& attachment : attachments) {
        auto* const own = new (header) flowd_attachment(attachment);
        if (!attachments_) attachments_ = own;
        own->id = text(attachment.id);
        own->bytes = raw(attachment.bytes);
        header += sizeof *own;
    }
    for (const auto& sample : samples) {
        auto* const own = new (header) flowd_sample(sample);
        if (!samples_) samples_ = own;
        own->source = text(sample.source);
        own->tcp_info = raw(sample.tcp_info);
        own->congestion = text(sample.congestion);
        header += sizeof *own;
    }
}

void Payload::attach_to(flowd_event& event) const {
    event.attachments = attachments_;
    event.attachment_count = attachment_count_;
    event.attachment_stride = sizeof(flowd_attachment);
    event.samples = samples_;
    event.sample_count = sample_count_;
    event.sample_stride = sizeof(flowd_sample);
}

}  // namespace flowd::core
