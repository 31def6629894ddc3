// SPDX-License-Identifier: Apache-2.0
// What programs write into the pipe, in pieces: however it is cut, the same lines come out, and what is understood is
// something that the core takes.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "flowd/address.hpp"
#include "plugins/namedpipe/line.hpp"

namespace {

using namespace flowd::namedpipe;

void require(bool truth) {
    if (!truth) std::abort();
}

std::vector<std::string> lines_of(std::string_view input, std::size_t piece) {
    LineBuffer buffer(64);  // short, so that inputs reach it
    std::vector<std::string> lines;
    while (!input.empty()) {
        const std::size_t size = std::min(piece, input.size());
        const auto space = buffer.space(piece);
        std::memcpy(space.data(), input.data(), size);
        buffer.filled(size);
        input.remove_prefix(size);
        while (const auto cut = buffer.next()) lines.push_back(cut->too_long ? "\n" : std::string(cut->text));
        require(buffer.unfinished().size() <= 64);
    }
    return lines;
}

void judge(std::string_view text) {
    Line line;
    if (parse(text, line) != Refusal::none) return;
    require(!is_blank(text));
    require(line.kind == FLOWD_EVENT_START || line.kind == FLOWD_EVENT_END || line.kind == FLOWD_EVENT_ONGOING);
    const auto source = flowd::source_of(line.key), destination = flowd::destination_of(line.key);
    require(source.port != 0 && destination.port != 0);
    require(!source.address.is_unspecified() && !destination.address.is_unspecified());
    // Written in our words it means the same.
    const std::string again = std::string("start ") + (line.key.protocol == IPPROTO_TCP ? "tcp " : "udp ") +
                              source.address.to_string() + " " + std::to_string(source.port) + " " +
                              destination.address.to_string() + " " + std::to_string(destination.port) + " " +
                              std::to_string(line.tag.experiment) + " " + std::to_string(line.tag.activity);
    Line same;
    require(parse(again, same) == Refusal::none);
    require(std::memcmp(&same.key, &line.key, sizeof line.key) == 0);
    require(same.tag.experiment == line.tag.experiment && same.tag.activity == line.tag.activity);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
    const auto lines = lines_of(input, data[0] % 61 + 1);
    require(lines == lines_of(input, 4096));
    for (const std::string& line : lines) judge(line);
    judge(input);
    return 0;
}
