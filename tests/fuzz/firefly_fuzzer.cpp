// SPDX-License-Identifier: Apache-2.0
// Any bytes through the codec: whatever is understood must print, and what is printed must be understood alike, numbered
// or not. The same bytes as struct tcp_info must make blocks that a relay would repeat as they are.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "flowd/sized.hpp"
#include "lib/firefly/blocks.hpp"
#include "lib/firefly/enrichment.hpp"
#include "lib/firefly/event.hpp"
#include "lib/firefly/parser.hpp"
#include "lib/firefly/printer.hpp"
#include "lib/firefly/provenance.hpp"

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
    require(printable(event) == Printable::yes && event.application.length <= 256);
    Firefly printed = from_event(event, 1'771'952'202'251'384'000);
    printed.blocks = blocks;
    const auto text = std::string(printer.print(printed).text);
    require(!text.empty() && text.size() <= default_max_size);
    // The smaller the place, the less is told, down to the core.
    for (std::size_t size = text.size() - 1, last = text.size(); size >= least_max_size; size = last - 1) {
        last = printer.print(printed, {true, size}).text.size();
        require(last <= size && last > 0);
    }
    Firefly read;
    require(again.parse(text, read) == Refusal::none);
    require(read.state == firefly.state && std::memcmp(&read.key, &firefly.key, sizeof read.key) == 0);
    require(read.tag.experiment == firefly.tag.experiment && read.tag.activity == firefly.tag.activity);
    require(read.has_usage == firefly.has_usage && read.sent == firefly.sent && read.received == firefly.received);
    require(!read.member);

    static Stream stream(0xb1);
    const Path path = firefly.member ? firefly.member->path : Path{1, 0};
    std::string numbered;
    const bool has_room = stream.number(numbered, text, path, default_max_size);
    require(numbered.size() <= default_max_size && again.parse(numbered, read) == Refusal::none);
    require(has_room == read.member.has_value() && read.blocks.size() <= blocks.size() + 1);
    if (has_room) require(read.member->boot == 0xb1 && read.member->path == path);
    if (firefly.member) require(firefly.member->stream < number_limit && firefly.member->seq - 1 < number_limit - 1);
}

void as_provenance(std::string_view bytes) {
    const auto read = parse_provenance(bytes);
    if (!read) return;
    const std::string text = to_text(*read);
    const auto again = parse_provenance(text);
    require(again && again->path == read->path && again->peer == read->peer && again->port == read->port &&
            again->receivers == read->receivers);
}

void as_sample(std::string_view bytes, BlockReader& reader) {
    flowd_sample sample{};
    sample.size = sizeof sample;
    sample.tcp_info = flowd::to_bytes(bytes);
    sample.congestion = flowd::to_c(bytes.substr(0, 16));
    for (const auto verbosity : {Verbosity::lean, Verbosity::compatible, Verbosity::full}) {
        const auto block = sample_block(sample, verbosity);
        if (!block) continue;
        const auto again = reader.normalise("netlink", block->json);
        require(again && again->json == block->json && again->rtt_ms == block->rtt_ms);
    }
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
    as_sample(datagram, reader);
    as_provenance(datagram);
    return 0;
}
