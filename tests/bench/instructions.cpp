// SPDX-License-Identifier: Apache-2.0
// usage: instructions CASE COUNT: performs one piece of work COUNT times, for tests/bench/check_instructions.py to count.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "backends/metrics/flow_samples.hpp"
#include "core/flows/bus.hpp"
#include "flowd/event.hpp"
#include "lib/firefly/event.hpp"
#include "lib/firefly/parser.hpp"
#include "lib/firefly/printer.hpp"
#include "tests/bench/flow_event.hpp"
#include "tests/unit/firefly/fixtures.hpp"
#include "tests/unit/metrics/events.hpp"

namespace {

using namespace flowd;
using bench::event_of;

using Work = std::function<void()>;

Work parse(std::string_view text) {
    return [text, parser = std::make_shared<firefly::Parser>()] {
        firefly::Firefly firefly;
        if (parser->parse(text, firefly) != firefly::Refusal::none) std::abort();
    };
}

Work print(std::string_view text) {
    struct State {
        firefly::Parser parser;
        firefly::Firefly firefly;
        firefly::Printer printer{{.host = "se1.example.org", .application = "flowd-cpp v0.1.0"}};
    };
    const auto state = std::make_shared<State>();
    if (state->parser.parse(text, state->firefly) != firefly::Refusal::none) std::abort();
    state->firefly.current_time_ns = 1'771'952'202'251'384'000;
    return [state] {
        if (state->printer.print(state->firefly).text.empty()) std::abort();
    };
}

/// 32 flows start and end, in one batch; with a backend that takes the events.
Work flows(bool with_backend) {
    constexpr std::uint32_t pairs = 32;
    struct State {
        std::int64_t now = 1;
        core::Bus bus{core::FlowLimits{}, core::Clock{[this] { return now; }, [this] { return now; }}};
        core::AnnouncerId id = *bus.add_announcer({"plugin"});
        std::shared_ptr<core::BackendQueue> queue;
        std::vector<flowd_event> events;
    };
    const auto state = std::make_shared<State>();
    if (with_backend) state->queue = *state->bus.add_backend({"backend", 0x0e, {}, [] {}});
    for (std::uint32_t n = 0; n < pairs; ++n) state->events.push_back(event_of(FLOWD_EVENT_START, n));
    for (std::uint32_t n = 0; n < pairs; ++n) state->events.push_back(event_of(FLOWD_EVENT_END, n));
    return [state] {
        std::size_t accepted = 0;
        state->bus.emit(state->id, state->events.data(), state->events.size(), sizeof(flowd_event), &accepted);
        if (accepted != state->events.size()) std::abort();
        std::size_t taken = 0;
        while (state->queue && taken < accepted) taken += state->queue->take().size();
        state->now += 60 * core::second_ns;
        state->bus.tick();  // removes the tombstones
    };
}

/// The figures of 32 sampled flows, as text.
Work figures() {
    const auto samples = std::make_shared<metrics::FlowSamples>(32);
    for (std::uint64_t id = 1; id <= 32; ++id) {
        const metrics::test::Sampled sampled(id, metrics::test::moved(id));
        samples->take(sampled.view());
    }
    return [samples] {
        metrics::Page page(metrics::Format::text);
        if (samples->figures({}, metrics::TagLabels({}, false)).print(page, 1u << 30) || page.text().empty()) std::abort();
    };
}

const std::map<std::string, std::function<Work()>> cases{
    {"parse-flowd-go", [] { return parse(firefly::fixtures::flowd_go_bare); }},
    {"parse-xrootd", [] { return parse(firefly::fixtures::xrootd_end); }},
    {"parse-flowd", [] { return parse(firefly::fixtures::flowd_py_start); }},
    {"print-flowd-go", [] { return print(firefly::fixtures::flowd_go_bare); }},
    {"print-xrootd", [] { return print(firefly::fixtures::xrootd_end); }},
    {"print-flowd", [] { return print(firefly::fixtures::flowd_py_start); }},
    {"table-32-pairs", [] { return flows(false); }},
    {"bus-32-pairs", [] { return flows(true); }},
    {"metrics-32-flows", [] { return figures(); }},
};

}  // namespace

int main(int count, char** words) {
    const auto found = count == 3 ? cases.find(words[1]) : cases.end();
    if (found == cases.end()) {
        std::fputs("usage: instructions CASE COUNT\n", stderr);
        for (const auto& [name, make] : cases) std::fprintf(stderr, "  %s\n", name.c_str());
        return 2;
    }
    const Work work = found->second();
    for (long left = std::atol(words[2]); left > 0; --left) work();
    return 0;
}
