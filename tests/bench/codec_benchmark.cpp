// SPDX-License-Identifier: Apache-2.0
// The firefly codec beside a floor: what JSON alone, or the bytes alone, would cost.
#include <benchmark/benchmark.h>
#include <simdjson.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <string>

#include "lib/firefly/event.hpp"
#include "lib/firefly/parser.hpp"
#include "lib/firefly/printer.hpp"
#include "tests/unit/firefly/fixtures.hpp"

namespace {

using namespace flowd::firefly;

std::string_view datagram(benchmark::State& state) {
    constexpr std::array<std::pair<const char*, std::string_view>, 3> datagrams{
        {{"flowd-go", fixtures::flowd_go_bare},
         {"xrootd", fixtures::xrootd_end},
         {"flowd with netlink", fixtures::flowd_py_start}}};
    const auto& [label, text] = datagrams[static_cast<std::size_t>(state.range(0))];
    state.SetLabel(label);
    return text;
}

/// The floor: the same bytes through simdjson's DOM, without looking at the result.
void parse_json_alone(benchmark::State& state) {
    const auto text = datagram(state);
    const simdjson::padded_string json(text.substr(text.find('{')));
    simdjson::dom::parser parser;
    for (auto _ : state) benchmark::DoNotOptimize(parser.parse(json).error());
}
BENCHMARK(parse_json_alone)->DenseRange(0, 2);

void parse(benchmark::State& state) {
    const auto text = datagram(state);
    Parser parser;
    Firefly firefly;
    for (auto _ : state) benchmark::DoNotOptimize(parser.parse(text, firefly));
}
BENCHMARK(parse)->DenseRange(0, 2);

/// The floor: the bytes of a ready firefly, with its five numbers formatted by libc.
void print_bytes_alone(benchmark::State& state) {
    std::array<char, 2048> out{};
    const auto text = fixtures::xrootd_end;
    for (auto _ : state) {
        std::memcpy(out.data(), text.data(), text.size());
        std::snprintf(out.data() + text.size(), 128, "%d %d %d %d %llu", 2, 16, 1094, 38084, 10507049000ull);
        benchmark::DoNotOptimize(out.data());
        benchmark::ClobberMemory();
    }
}
BENCHMARK(print_bytes_alone);

void print(benchmark::State& state) {
    const auto text = datagram(state);
    Parser parser;
    Firefly firefly;
    if (parser.parse(text, firefly) != Refusal::none) state.SkipWithError("not understood");
    firefly.current_time_ns = 1'771'952'202'251'384'000;
    Printer printer({.host = "se1.example.org", .application = "flowd-cpp v0.1.0"});
    for (auto _ : state) benchmark::DoNotOptimize(printer.print(firefly).text.data());
}
BENCHMARK(print)->DenseRange(0, 2);

/// Received and re-printed, as by a relay that enriches.
void parse_and_print(benchmark::State& state) {
    const auto text = datagram(state);
    Parser parser;
    Firefly firefly;
    Printer printer({.host = "se1.example.org", .application = "flowd-cpp v0.1.0"});
    for (auto _ : state) {
        if (parser.parse(text, firefly) != Refusal::none) state.SkipWithError("not understood");
        const auto event = to_event(firefly);
        benchmark::DoNotOptimize(printer.print(from_event(event, 1'771'952'202'251'384'000)).text.data());
    }
}
BENCHMARK(parse_and_print)->DenseRange(0, 2);

}  // namespace
