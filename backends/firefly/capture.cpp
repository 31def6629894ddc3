// SPDX-License-Identifier: Apache-2.0
#include "backends/firefly/capture.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace flowd::firefly_backend {
namespace {

constexpr std::uint32_t magic_microseconds = 0xa1b2c3d4;
constexpr std::uint32_t magic_nanoseconds = 0xa1b23c4d;
constexpr std::uint32_t magic_pcapng = 0x0a0d0d0a;  // reads the same in both byte orders
constexpr std::size_t largest_packet = 262144;      // MAXIMUM_SNAPLEN of libpcap

constexpr std::uint16_t ethertype_ipv4 = 0x0800;
constexpr std::uint16_t ethertype_ipv6 = 0x86dd;

/// A word in the byte order of this host.
std::uint32_t host_word(std::string_view bytes, std::size_t at) {
    std::uint32_t word = 0;
    std::memcpy(&word, bytes.data() + at, sizeof word);
    return word;
}

/// Bytes of a packet, in network order. A read beyond its end returns 0 and sets bad().
class Reader {
  public:
    explicit Reader(std::string_view bytes) : bytes_(bytes) {}

    [[nodiscard]] bool bad() const { return bad_; }
    [[nodiscard]] std::string_view rest() const { return bytes_; }
    void skip(std::size_t count) {
        bad_ = bad_ || count > bytes_.size();
        bytes_.remove_prefix(std::min(count, bytes_.size()));
    }
    /// Reads at an offset from the current position, which does not change.
    [[nodiscard]] std::uint8_t byte(std::size_t at) {
        bad_ = bad_ || at >= bytes_.size();
        return bad_ ? 0 : static_cast<std::uint8_t>(bytes_[at]);
    }
    [[nodiscard]] std::uint16_t word(std::size_t at) { return static_cast<std::uint16_t>(byte(at) << 8 | byte(at + 1)); }
    [[nodiscard]] Address v6(std::size_t at) {
        Address::Bytes bytes{};
        for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = byte(at + i);
        return Address(bytes);
    }
    [[nodiscard]] Address v4(std::size_t at) {
        in_addr address{};
        std::array<std::uint8_t, 4> bytes{byte(at), byte(at + 1), byte(at + 2), byte(at + 3)};
        std::memcpy(&address, bytes.data(), bytes.size());
        return Address(address);
    }

  private:
    std::string_view bytes_;
    bool bad_ = false;
};

/// Skips the header of the link. False: what follows is not IP.
bool skip_link(std::uint32_t link_type, Reader& reader) {
    const auto is_ip = [](std::uint16_t type) { return type == ethertype_ipv4 || type == ethertype_ipv6; };
    std::uint16_t type = 0;
    switch (link_type) {
        case 1:  // LINKTYPE_ETHERNET
            type = reader.word(12);
            reader.skip(14);
            for (int tags = 0; tags < 4 && (type == 0x8100 || type == 0x88a8); ++tags) {
                type = reader.word(2);
                reader.skip(4);
            }
            return is_ip(type);
        case 113:  // LINKTYPE_LINUX_SLL
            type = reader.word(14);
            reader.skip(16);
            return is_ip(type);
        case 276:  // LINKTYPE_LINUX_SLL2
            type = reader.word(0);
            reader.skip(20);
            return is_ip(type);
        case 0:    // LINKTYPE_NULL
        case 108:  // LINKTYPE_LOOP
            reader.skip(4);
            return true;
        case 101:  // LINKTYPE_RAW
        case 228:  // LINKTYPE_IPV4
        case 229:  // LINKTYPE_IPV6
            return true;
        default:
            return false;
    }
}

/// Skips the IPv4 header. False: no UDP header follows.
bool skip_ipv4(Reader& reader, CapturedDatagram& datagram) {
    const std::size_t length = (reader.byte(0) & 15u) * 4u;
    const unsigned fragment = reader.word(6);
    if (length < 20 || reader.byte(9) != IPPROTO_UDP || (fragment & 0x1fff) != 0) return false;
    datagram.is_fragment = (fragment & 0x2000) != 0;
    datagram.source.address = reader.v4(12);
    datagram.destination.address = reader.v4(16);
    reader.skip(length);
    return !reader.bad();
}

/// Skips the IPv6 header and the extension headers.
bool skip_ipv6(Reader& reader, CapturedDatagram& datagram) {
    std::uint8_t next = reader.byte(6);
    datagram.source.address = reader.v6(8);
    datagram.destination.address = reader.v6(24);
    reader.skip(40);
    for (int headers = 0; headers < 8 && next != IPPROTO_UDP; ++headers) {
        std::size_t length = 8;
        if (next == IPPROTO_FRAGMENT) {
            const unsigned fragment = reader.word(2);
            if ((fragment & 0xfff8) != 0) return false;
            datagram.is_fragment = (fragment & 1) != 0;
        } else if (next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS) {
            length = (reader.byte(1) + 1u) * 8u;
        } else {
            return false;
        }
        next = reader.byte(0);
        reader.skip(length);
    }
    return next == IPPROTO_UDP && !reader.bad();
}

}  // namespace

std::optional<CapturedDatagram> datagram_in(std::uint32_t link_type, std::string_view packet) {
    Reader reader(packet);
    CapturedDatagram datagram;
    if (!skip_link(link_type, reader)) return std::nullopt;
    const unsigned version = reader.byte(0) >> 4;
    if (version != 4 && version != 6) return std::nullopt;
    if (!(version == 4 ? skip_ipv4(reader, datagram) : skip_ipv6(reader, datagram))) return std::nullopt;
    datagram.source.port = reader.word(0);
    datagram.destination.port = reader.word(2);
    const std::size_t length = reader.word(4);
    reader.skip(8);
    if (reader.bad() || length < 8) return std::nullopt;
    datagram.payload = reader.rest().substr(0, length - 8);
    datagram.is_incomplete = !datagram.is_fragment && datagram.payload.size() < length - 8;
    return datagram;
}

bool Capture::is_capture(std::string_view begin) {
    if (begin.size() < 4) return false;
    const std::uint32_t magic = host_word(begin, 0);
    for (const std::uint32_t one : {magic_microseconds, magic_nanoseconds, magic_pcapng})
        if (magic == one || __builtin_bswap32(magic) == one) return true;
    return false;
}

Result<Capture> Capture::open(std::istream& in) {
    std::array<char, 24> header{};
    if (!in.read(header.data(), header.size())) return Error{FLOWD_INVALID, "not a capture: it has no header of 24 bytes"};
    const std::string_view bytes(header.data(), header.size());
    std::uint32_t magic = host_word(bytes, 0);
    if (magic == magic_pcapng)
        return Error{FLOWD_INVALID, "a capture in the format pcapng, which is not read here",
                     "convert it: editcap -F pcap FILE NEW"};
    Capture capture(in);
    capture.swapped_ = magic != magic_microseconds && magic != magic_nanoseconds;
    if (capture.swapped_) magic = __builtin_bswap32(magic);
    if (magic != magic_microseconds && magic != magic_nanoseconds)
        return Error{FLOWD_INVALID, "not a capture in the format of libpcap", "write it with tcpdump -w FILE"};
    capture.fraction_ns_ = magic == magic_nanoseconds ? 1 : 1000;
    const std::uint32_t link_type = host_word(bytes, 20);
    // The upper bits describe the frame check sequence.
    capture.link_type_ = (capture.swapped_ ? __builtin_bswap32(link_type) : link_type) & 0x0fffffff;
    return capture;
}

Result<std::optional<CapturedPacket>> Capture::next() {
    std::array<char, 16> header{};
    if (!in_->read(header.data(), header.size())) return std::optional<CapturedPacket>();
    const auto word = [&](std::size_t at) {
        const std::uint32_t raw = host_word({header.data(), header.size()}, at);
        return swapped_ ? __builtin_bswap32(raw) : raw;
    };
    ++packets_;
    const std::size_t length = word(8);
    if (length > largest_packet)
        return Error{FLOWD_INVALID, "packet " + std::to_string(packets_) + " has " + std::to_string(length) +
                                        " bytes: the capture is damaged"};
    packet_.resize(length);
    if (!in_->read(packet_.data(), static_cast<std::streamsize>(length))) return std::optional<CapturedPacket>();
    return std::optional(CapturedPacket{word(0) * std::int64_t{1'000'000'000} + word(4) * fraction_ns_, packet_});
}

}  // namespace flowd::firefly_backend
