// SPDX-License-Identifier: Apache-2.0
// Composes the firefly of a flow event, independent of its receivers. Belongs to one thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "flowd/event.hpp"
#include "lib/firefly/blocks.hpp"
#include "lib/firefly/enrichment.hpp"
#include "lib/firefly/printer.hpp"

namespace flowd::firefly {

class Composer {
  public:
    using Mapping = std::map<Address, Address>;

    /// Starts before `since_ns` (Unix time) that the flow table repeats are sent as ongoing.
    Composer(PrinterOptions options, Verbosity verbosity, Mapping public_addresses, std::int64_t since_ns = 0)
        : since_ns_(since_ns),
          printer_(std::move(options)),
          verbosity_(verbosity),
          public_addresses_(std::move(public_addresses)) {}

    /// Takes effect with the next begin().
    void use(Verbosity verbosity, Mapping public_addresses) {
        verbosity_ = verbosity;
        public_addresses_ = std::move(public_addresses);
    }
    /// Names of top-level members that the caller adds itself: blocks of these names are left out.
    void reserve(std::vector<std::string_view> names) { reserved_ = std::move(names); }
    /// The round trip time in milliseconds of an event's samples.
    [[nodiscard]] static std::optional<double> rtt_of(const EventView& event);
    /// The firefly of a printable event. `rtt_ms`: measured by this host, 0: not measured. Borrows the event until the
    /// last print().
    void begin(const EventView& event, std::int64_t now_ns, double rtt_ms);
    /// Later print() calls write a start instead of an ongoing.
    void call_it_a_start();
    /// The datagram in this layout; empty when it does not fit. Valid until the next call.
    [[nodiscard]] std::string_view print(const Layout& layout);

    [[nodiscard]] std::uint64_t left_out() const { return left_out_; }      ///< blocks that did not fit
    [[nodiscard]] std::uint64_t shortened() const { return shortened_; }    ///< blocks printed in a shorter form
    [[nodiscard]] std::uint64_t bad_blocks() const { return bad_blocks_; }  ///< attachments that are not JSON

  private:
    void add_samples(const EventView& event);
    void add_attachments(const EventView& event);
    [[nodiscard]] bool has_block(std::string_view name) const;
    void make_public(std::uint8_t (&address)[16]) const;

    std::int64_t since_ns_;
    std::vector<std::string_view> reserved_;
    Printer printer_;
    Verbosity verbosity_;
    BlockReader reader_;
    Mapping public_addresses_;

    Firefly firefly_;
    std::vector<std::string> texts_;  ///< memory of the texts of blocks_
    std::vector<Block> blocks_;
    Printed printed_;  ///< the result of the last print() of firefly_
    std::optional<Layout> layout_;

    std::uint64_t left_out_ = 0;
    std::uint64_t shortened_ = 0;
    std::uint64_t bad_blocks_ = 0;
};

}  // namespace flowd::firefly
