// SPDX-License-Identifier: Apache-2.0
// Any bytes through the codec: whatever is understood must print, and what is printed must be understood alike.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "lib/firefly/blocks.hpp"
#include "lib/firefly/event.hpp"
#include "lib/firefly/parser.hpp"
#include "lib/firefly/printer.hpp"

namespace {

using namespace flowd::firefly;

void require(bool truth) {
    if (!truth) std::abort();
}

void round_trip(const Firefly& firefly, Printer& printer, Parser& again, BlockReader& reader) {
    std::vector<NormalBlock> normal;
    normal.reserve(firefly.blocks.size());
    std::vector<Block> blocks;
    for (const Block& block : firefly.blocks) {
        auto one = reader.normalise(block.name, block.json);
        if (!one) continue;
        normal.push_back(std::move(*one));
        blocks.push_back({block.name, normal.back().json});
    }
    const auto event = to_event(firefly);
    require(printable(event) == Printable::yes);
    Firefly printed = from_event(event, 1'771'952'202'251'384'000);
    printed.blocks = blocks;
    const auto text = std::string(printer.print(printed).text);
    require(!text.empty() && text.size() <= default_max_size);
    Firefly read;
    require(again.parse(text, read) == Refusal::none);
    require(read.state == firefly.state && std::memcmp(&read.key, &firefly.key, sizeof read.key) == 0);
    require(read.tag.experiment == firefly.tag.experiment && read.tag.activity == firefly.tag.activity);
    require(read.has_usage == firefly.has_usage && read.sent == firefly.sent && read.received == firefly.received);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static Parser parser(4096), again(4096);
    static Printer printer({.host = "h", .application = "fuzzer"});
    static BlockReader reader;
    const std::string_view datagram(reinterpret_cast<const char*>(data), size);
    Firefly firefly;
    if (parser.parse(datagram, firefly) == Refusal::none) round_trip(firefly, printer, again, reader);
    for (const char* name : {"netlink", "storage-stats"})
        if (const auto block = reader.normalise(name, datagram)) require(reader.normalise(name, block->json).has_value());
    return 0;
}
