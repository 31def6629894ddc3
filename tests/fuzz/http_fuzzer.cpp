// SPDX-License-Identifier: Apache-2.0
// What a client sends to the API, in pieces: however it is cut, the same requests are found in it (but which refusal ends
// them may depend on the cut), and what is announced is something that the core takes.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "flowd/address.hpp"
#include "lib/http/conversation.hpp"
#include "lib/http/problem.hpp"
#include "plugins/api/flow_page.hpp"
#include "plugins/api/flow_reader.hpp"

namespace {

using namespace flowd;

void require(bool truth) {
    if (!truth) std::abort();
}

void judge(const Event& event) {
    require(event->kind >= FLOWD_EVENT_START && event->kind <= FLOWD_EVENT_END);
    require(event->key.protocol == IPPROTO_TCP || event->key.protocol == IPPROTO_UDP);
    const auto source = source_of(event->key), destination = destination_of(event->key);
    require(source.port != 0 && destination.port != 0 && !source.address.is_unspecified());
    require(event->time_ns >= 0 && event->start_time_ns >= 0);
    require(event.raw().attachment_count <= 16);
}

/// What the API's handler does, without a host.
http::Response answer(const http::Request& request, api::FlowReader& reader) {
    if (request.path == "/flows") {
        const auto page = api::PageRequest::from(request.query, Registry());
        if (!page) return http::problem(400, {.detail = page.error().message});
        return {.body = "{}"};
    }
    const auto events = reader.read(request.body);
    if (!events) return http::problem(400, {.detail = events.error().message});
    for (const Event& event : *events) judge(event);
    return {.body = "{\"accepted\":" + std::to_string(events->size()) + "}"};
}

/// What the handler was asked and answered.
std::string handled(std::string_view input, std::size_t piece, api::FlowReader& reader) {
    std::string requests;
    http::Context context{
        .limits = {.max_head = 512, .max_body = 4096}, .handler = [&](const http::Request& request, http::Reply reply) {
            http::Response response = answer(request, reader);
            requests.append(request.method).append(request.path).append(request.body).append(response.body);
            reply(std::move(response));
        }};
    const auto conversation = std::make_shared<http::Conversation>(context, http::Peer{}, [] {});
    while (!input.empty() && !conversation->over()) {
        conversation->receive(input.substr(0, piece));
        input.remove_prefix(std::min(piece, input.size()));
        while (!conversation->output().empty()) {
            require(std::exchange(conversation->output(), {}).starts_with("HTTP/1.1 "));
            conversation->proceed();
        }
    }
    return requests;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static api::FlowReader reader(Registry{}, 16);
    if (size == 0) return 0;
    const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
    require(handled(input, input.size(), reader) == handled(input, data[0] % 61 + 1, reader));
    const auto events = reader.read(input);
    if (events)
        for (const Event& event : *events) judge(event);
    return 0;
}
