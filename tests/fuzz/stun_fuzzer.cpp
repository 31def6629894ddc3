// SPDX-License-Identifier: Apache-2.0
// An answer of a STUN server, whatever it is: nothing beyond it is looked at, and what is taken has the cookie, the id and
// the length that were asked for.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "lib/net/stun.hpp"

namespace {

using namespace flowd;

void require(bool truth) {
    if (!truth) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    // Of exactly this size, so that a byte too many is noticed.
    std::vector<std::byte> datagram(size);
    std::transform(data, data + size, datagram.begin(), [](std::uint8_t byte) { return std::byte{byte}; });
    net::stun::TransactionId id{};
    if (size >= net::stun::header_size) std::copy_n(datagram.begin() + 8, id.size(), id.begin());
    const auto endpoint = net::stun::parse_binding_response(datagram, id);
    if (!endpoint) {
        require(!endpoint.error().message.empty());
        return 0;
    }
    const auto request = net::stun::binding_request(id);
    require(size > request.size() && std::equal(request.begin() + 4, request.end(), datagram.begin() + 4));
    // The same answer to another request is none.
    id[0] ^= std::byte{1};
    require(!net::stun::parse_binding_response(datagram, id));
    datagram.pop_back();
    require(!net::stun::parse_binding_response(datagram, id));
    return 0;
}
