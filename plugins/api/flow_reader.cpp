// SPDX-License-Identifier: Apache-2.0
#include "plugins/api/flow_reader.hpp"

#include <algorithm>
#include <utility>

#include "lib/firefly/event.hpp"
#include "lib/firefly/parser.hpp"
#include "lib/text/words.hpp"
#include "plugins/api/json_reading.hpp"
#include "plugins/api/peer_forms.hpp"

namespace flowd::api {
namespace {

/// A parser keeps its memory, several times the size of the body: it is re-created after a longer body.
constexpr std::size_t longest_usual = 64 * 1024;
constexpr std::size_t longest_firefly = 65507;  // of a UDP datagram
/// Limit of the core for an event, the datagram included.
constexpr std::size_t most_attachments = 64;

enum class Form { own, flowd_go, firefly, unknown };

[[nodiscard]] Form form_of(dom::object object) {
    for (const auto& [name, value] : object) {
        if (name == "flow-lifecycle") return Form::firefly;
        if (name == "source") return Form::own;
        if (text::same_word(name, "Src")) return Form::flowd_go;
    }
    return Form::unknown;
}

}  // namespace

struct FlowReader::State {
    State(Registry names, std::size_t limit) : registry(names), most(limit) {}

    /// Calls `take(size, event or error)` for each of the body's flows, until that returns an error. `size`: of the list;
    /// 0: the body is one flow.
    template <typename Take>
    [[nodiscard]] Result<void> visit(std::string_view body, Take take);
    [[nodiscard]] Result<Event> read(dom::element element);
    [[nodiscard]] Result<Event> read_firefly(std::string_view text);

    Registry registry;
    std::size_t most;
    dom::parser parser;
    firefly::Parser fireflies{longest_firefly};
};

template <typename Take>
Result<void> FlowReader::State::visit(std::string_view body, Take take) {
    dom::element document;
    dom::parser for_once;
    dom::parser& reader = body.size() > longest_usual ? for_once : parser;
    if (const auto error = reader.parse(body.data(), body.size()).get(document); error != simdjson::SUCCESS)
        return Error{FLOWD_INVALID, std::string("the body is not JSON: ") + simdjson::error_message(error)};
    dom::array array;
    if (document.get(array) != simdjson::SUCCESS) return take(0, read(document));
    const std::size_t size = array.size();
    if (size == 0) return Error{FLOWD_INVALID, "the list of flows is empty"};
    if (size > most) return Error{FLOWD_INVALID, "the list has more than " + std::to_string(most) + " flows"};
    for (const dom::element element : array)
        if (auto taken = take(size, read(element)); !taken) return taken;
    return {};
}

Result<Event> FlowReader::State::read(dom::element element) {
    dom::object object;
    if (element.get(object) != simdjson::SUCCESS) return Error{FLOWD_INVALID, "is not an object"};
    switch (form_of(object)) {
        case Form::own:
            return read_own_form(object, registry);
        case Form::flowd_go:
            return read_flowd_go_form(object);
        case Form::firefly:
            return read_firefly(simdjson::minify(element));
        case Form::unknown:
            break;
    }
    return Error{FLOWD_INVALID, "is not a flow: it has neither source, nor Src, nor flow-lifecycle",
                 "GET /openapi.json describes the forms"};
}

Result<Event> FlowReader::State::read_firefly(std::string_view text) {
    firefly::Firefly firefly;
    if (const auto refusal = fireflies.parse(text, firefly); refusal != firefly::Refusal::none)
        return Error{FLOWD_INVALID, "the firefly is refused: " + std::string(firefly::name_of(refusal))};
    const flowd_event said = firefly::to_event(firefly);
    Event event = Event::start(said.key, said.tag);
    event->kind = said.kind;
    event->flags = said.flags;
    event->time_ns = said.time_ns;
    event->start_time_ns = said.start_time_ns;
    event->end_time_ns = said.end_time_ns;
    event->usage = said.usage;
    event.application(std::string(to_view(said.application)));
    event.attach(FLOWD_ATTACHMENT_DATAGRAM, std::string(text));
    for (const firefly::Block& block : firefly.blocks.first(std::min(firefly.blocks.size(), most_attachments - 1)))
        event.attach(FLOWD_ATTACHMENT_JSON + std::string(block.name), std::string(block.json));
    return event;
}

FlowReader::FlowReader(Registry registry, std::size_t most) : state_(std::make_unique<State>(registry, most)) {}
FlowReader::~FlowReader() = default;

Result<std::vector<Event>> FlowReader::read(std::string_view body) {
    std::vector<Event> events;
    auto done = state_->visit(body, [&](std::size_t size, Result<Event> event) -> Result<void> {
        if (!event && size == 0) return std::move(event).error();
        if (!event) return std::move(event).error().within("flow " + std::to_string(events.size()));
        if (events.empty()) events.reserve(size);
        events.push_back(std::move(*event));
        return {};
    });
    if (!done) return std::move(done).error();
    return events;
}

Result<EachFlow> FlowReader::read_each(std::string_view body) {
    EachFlow each;
    auto done = state_->visit(body, [&](std::size_t size, Result<Event> event) -> Result<void> {
        const std::size_t place = each.events.size() + each.refused.size();
        if (event) {
            if (each.events.empty()) {
                each.events.reserve(size);
                each.places.reserve(size);
            }
            each.events.push_back(std::move(*event));
            each.places.push_back(place);
        } else {
            each.refused.push_back({place, std::move(event).error().message});
        }
        return {};
    });
    if (!done) return std::move(done).error();
    return each;
}

}  // namespace flowd::api
