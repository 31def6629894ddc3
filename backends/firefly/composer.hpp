// SPDX-License-Identifier: Apache-2.0
// Composes the firefly of a flow event: what it tells, beside whom it is sent to. Belongs to one thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "flowd/event.hpp"
#include "lib/firefly/blocks.hpp"
#include "lib/firefly/printer.hpp"

namespace flowd::firefly_backend {

class Composer {
  public:
    using Mapping = std::map<Address, Address>;

    Composer(firefly::PrinterOptions options, Mapping public_addresses)
        : printer_(std::move(options)), public_addresses_(std::move(public_addresses)) {}

    /// The datagram for a printable event; empty when it does not fit. Valid until the next call.
    [[nodiscard]] std::string_view compose(const EventView& event, std::int64_t now_ns, std::size_t max_size);

    [[nodiscard]] std::uint64_t left_out() const { return left_out_; }      ///< blocks that did not fit
    [[nodiscard]] std::uint64_t bad_blocks() const { return bad_blocks_; }  ///< attachments that are no JSON

  private:
    void add_blocks(const EventView& event, firefly::Firefly& firefly);
    void make_public(std::uint8_t (&address)[16]) const;

    firefly::Printer printer_;
    firefly::BlockReader reader_;
    Mapping public_addresses_;
    std::vector<firefly::NormalBlock> normal_;
    std::vector<firefly::Block> blocks_;
    std::uint64_t left_out_ = 0;
    std::uint64_t bad_blocks_ = 0;
};

}  // namespace flowd::firefly_backend
