// SPDX-License-Identifier: Apache-2.0
// A capture file, whatever it has: what is read is within the packets, and every firefly in it can be judged.
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string>

#include "backends/firefly/capture.hpp"
#include "backends/firefly/lint.hpp"

namespace {

using namespace flowd::firefly_backend;

void require(bool truth) {
    if (!truth) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::istringstream in(std::string(reinterpret_cast<const char*>(data), size));
    auto capture = Capture::open(in);
    if (!capture) {
        require(!capture.error().message.empty());
        return 0;
    }
    Lint lint({});
    std::uint64_t taken = 0;
    for (auto packet = capture->next(); packet && *packet; packet = capture->next()) {
        // Of exactly this size, so that a byte too many is noticed.
        const std::string bytes((*packet)->bytes);
        for (const std::uint32_t link_type : {capture->link_type(), 1u, 101u}) {
            const auto datagram = datagram_in(link_type, bytes);
            if (!datagram) continue;
            require(datagram->payload.size() <= bytes.size());
            lint.take(
                {datagram->payload, datagram->source, datagram->destination, (*packet)->time_ns, datagram->is_fragment});
            ++taken;
        }
    }
    std::uint64_t judged = 0;
    for (const Emitter& emitter : lint.finish()) {
        judged += emitter.fireflies();
        require(emitter.grade() >= 'A' && emitter.grade() <= 'F' && emitter.with_error <= emitter.fireflies());
    }
    require(judged == taken);
    return 0;
}
