// SPDX-License-Identifier: Apache-2.0
// The events of one batch of datagrams, with all that they borrow. Belongs to one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flowd/abi/event.h"
#include "lib/firefly/firefly.hpp"
#include "lib/firefly/provenance.hpp"
#include "lib/net/receive_batch.hpp"

namespace flowd::fireflyp {

/// Handing over many events at once costs half of what it costs one by one. The texts that the parser made are copied,
/// since it makes others of the next datagram; the datagrams themselves stay where they were received.
class EventBatch {
  public:
    void clear();
    /// `sender`: of flowd_event.
    void add(const firefly::Firefly& firefly, const net::Datagram& datagram, const firefly::Provenance& provenance,
             std::uint64_t sender);

    /// In order. Valid until clear() or add(), and as long as the datagrams.
    [[nodiscard]] std::span<const flowd_event> events();

  private:
    /// A piece of text_; offsets, because text_ moves while it grows.
    struct Piece {
        std::size_t at = 0;
        std::size_t size = 0;
    };
    struct Attachment {
        Piece id;
        Piece bytes;               ///< unless it is
        std::string_view outside;  ///< somewhere else
        std::uint32_t flags = 0;   ///< FLOWD_ATTACHMENT_*
    };
    struct Item {
        Piece application;
        std::size_t attachments = 0;
    };
    Piece keep(std::string_view text, std::string_view more = {});
    [[nodiscard]] std::string_view view(Piece piece) const { return std::string_view(text_).substr(piece.at, piece.size); }

    std::string text_;
    std::vector<flowd_event> events_;
    std::vector<Item> items_;
    std::vector<Attachment> attachments_;
    std::vector<flowd_attachment> raw_;
};

}  // namespace flowd::fireflyp
