// SPDX-License-Identifier: Apache-2.0
// core/flows/payload.hpp: attachments and samples of one event, copied once and shared by all queues that contain it; and
// such an event.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "core/flows/flow_texts.hpp"
#include "flowd/abi/event.h"

namespace flowd::core {

class Payload {
  public:
    /// Copies. Null if there are none.
    static std::shared_ptr<const Payload> copy(std::span<const flowd_attachment> attachments,
                                               std::span<const flowd_sample> samples);

    [[nodiscard]] std::size_t bytes() const { return bytes_; }  ///< size, including headers
    void attach_to(flowd_event& event) const;
    [[nodiscard]] std::span<const flowd_attachment> attachments() const { return {attachments_, attachment_count_}; }

    Payload(std::span<const flowd_attachment> attachments, std::span<const flowd_sample> samples);

  private:
    std::unique_ptr<std::byte[]> storage_;
    flowd_attachment* attachments_ = nullptr;
    std::size_t attachment_count_ = 0;
    flowd_sample* samples_ = nullptr;
    std::size_t sample_count_ = 0;
    std::size_t bytes_ = 0;
};

/// An event together with the owners of its texts and attachments.
struct Outgoing {
    flowd_event event;  ///< see FlowTable::describe
    FlowTexts texts;
    std::shared_ptr<const Payload> payload;

    [[nodiscard]] std::size_t bytes() const { return payload ? payload->bytes() : 0; }
};

}  // namespace flowd::core
