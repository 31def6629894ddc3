// SPDX-License-Identifier: Apache-2.0
// What `verify` reads of captured frames, and of the packets that ICMPv6 errors quote. The first byte chooses the device.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "backends/marker/wire.hpp"

namespace flowd::marker {
namespace {

void require(bool truth) {
    if (!truth) std::abort();
}

void judge(const WirePacket& packet) {
    require(packet.label <= 0xfffff && packet.dscp <= 0x3f);
    require(!packet.is_later_fragment || (packet.source_port == 0 && packet.destination_port == 0));
    require(!packet.hop_by_hop || packet.begins_with_options);
    require(packet.hop_by_hop.value_or(0) <= 0xffffff && packet.destination_options.value_or(0) <= 0xffffff);
    require(!packet.is_ipv4 || (packet.label == 0 && !packet.hop_by_hop && !packet.destination_options));
    const flow_key key = packet.key();
    require(key.protocol == packet.protocol);
}

}  // namespace
}  // namespace flowd::marker

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace flowd::marker;
    if (size == 0) return 0;
    const std::span<const std::uint8_t> bytes(data + 1, size - 1);
    const auto packet = ip_packet_of({bytes, (data[0] & 1) != 0, std::size_t{data[0]} >> 1});
    require(packet.size() <= bytes.size());
    if (const auto read = read_ip(packet)) judge(*read);
    if (const auto error = read_error(bytes)) {
        require(error->type < 128 && !error->packet.is_ipv4);
        judge(error->packet);
    }
    return 0;
}
