// SPDX-License-Identifier: Apache-2.0
// UDP datagrams in a capture file of the format of libpcap (draft-ietf-opsawg-pcap). The file is hostile input.
#pragma once

#include <cstdint>
#include <istream>
#include <optional>
#include <string>
#include <string_view>

#include "flowd/address.hpp"
#include "flowd/result.hpp"

namespace flowd::firefly_backend {

struct CapturedDatagram {
    std::string_view payload;
    Endpoint source, destination;
    bool is_fragment = false;    ///< the first fragment: the rest of the payload is missing
    bool is_incomplete = false;  ///< truncated by the capture (snap length)
};

/// The UDP datagram in a packet of this link type (LINKTYPE_...); empty for other packets and for later fragments. The
/// payload is a view into `packet`.
[[nodiscard]] std::optional<CapturedDatagram> datagram_in(std::uint32_t link_type, std::string_view packet);

struct CapturedPacket {
    std::int64_t time_ns = 0;  ///< Unix time
    std::string_view bytes;    ///< valid until the next call
};

/// Reads a file packet by packet. One thread.
class Capture {
  public:
    /// Whether the text begins with a magic number of libpcap or pcapng.
    [[nodiscard]] static bool is_capture(std::string_view begin);
    /// FLOWD_INVALID: not of this format, or pcapng. `in` must outlive the capture.
    [[nodiscard]] static Result<Capture> open(std::istream& in);

    /// Empty at the end of the file; a truncated last packet is omitted. FLOWD_INVALID: the file is damaged.
    [[nodiscard]] Result<std::optional<CapturedPacket>> next();
    [[nodiscard]] std::uint32_t link_type() const { return link_type_; }

  private:
    explicit Capture(std::istream& in) : in_(&in) {}

    std::istream* in_;
    bool swapped_ = false;
    std::int64_t fraction_ns_ = 1000;  ///< nanoseconds per unit of the fraction of a time
    std::uint32_t link_type_ = 0;
    std::uint64_t packets_ = 0;
    std::string packet_;
};

}  // namespace flowd::firefly_backend
