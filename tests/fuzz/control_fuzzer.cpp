// SPDX-License-Identifier: Apache-2.0
// What a client writes to the control socket, in pieces; and what a daemon answers, shown to people.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/cli/render.hpp"
#include "core/control/protocol.hpp"

using namespace flowd::core;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::size_t piece = data[0] % 61 + 1;
    const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
    control::FrameReader reader(control::max_request);
    for (std::size_t at = 0; at < input.size(); at += piece) {
        const auto state = reader.add(input.substr(at, piece));
        if (state == control::FrameReader::State::refused) break;
        if (state != control::FrameReader::State::complete) continue;
        if (const auto arguments = control::decode_request(reader.body())) {
            // What was understood is written again as it was read.
            if (control::encode_request(*arguments).substr(4) != reader.body()) std::abort();
        }
        (void)control::decode_reply(reader.body());
    }
    for (const char byte : cli::render(input)) {
        if (byte != '\n' && static_cast<unsigned char>(byte) < 0x20) std::abort();  // never a terminal's command
    }
    return 0;
}
