// SPDX-License-Identifier: Apache-2.0
// The events of one batch of datagrams, with the texts that they borrow. Belongs to one thread.
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

/// Emitting many events at once halves the cost per event. Texts of the parser are copied, because the parser reuses its
/// memory for the next datagram; the datagrams remain in the buffers in which they were received.
class EventBatch {
  public:
    void clear();
    /// `sender`: see flowd_event.
    void add(const firefly::Firefly& firefly, const net::Datagram& datagram, const firefly::Provenance& provenance,
             std::uint64_t sender);

    /// In the order of add(). Valid until clear() or add(), and while the datagrams exist.
    [[nodiscard]] std::span<const flowd_event> events();

  private:
    /// A part of text_; offsets, because text_ is reallocated as it grows.
    struct Piece {
        std::size_t at = 0;
        std::size_t size = 0;
    };
    struct Attachment {
        Piece id;
        Piece bytes;               ///< the value, if `outside` is empty
        std::string_view outside;  ///< the value, if it is not in text_
        std::uint32_t flags = 0;   ///< FLOWD_ATTACHMENT_*
    };
    struct Item {
        Piece application;
        std::size_t attachments = 0;
    };
    Piece keep(std::string_view text, std::string_view more = {});
    /// What was appended to text_ since it ended at `at`.
    [[nodiscard]] Piece since(std::size_t at) const { return {at, text_.size() - at}; }
    [[nodiscard]] std::string_view view(Piece piece) const { return std::string_view(text_).substr(piece.at, piece.size); }

    std::string text_;
    std::vector<flowd_event> events_;
    std::vector<Item> items_;
    std::vector<Attachment> attachments_;
    std::vector<flowd_attachment> raw_;
};

}  // namespace flowd::fireflyp
