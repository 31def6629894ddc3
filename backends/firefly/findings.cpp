// SPDX-License-Identifier: Apache-2.0
// What the firefly backend finds amiss, and what it tells of single flows.
#include <netdb.h>

#include <memory>

#include "backends/firefly/firefly.hpp"
#include "lib/firefly/event.hpp"

namespace flowd::firefly_backend {
namespace {

Finding unresolved(const std::string& target, const std::string& why) {
    return {FLOWD_LEVEL_WARNING,
            "firefly-collector-unresolved",
            target,
            why,
            "its name has an address",
            "check the name and this host's resolver: getent ahosts NAME"};
}

}  // namespace

std::vector<Finding> FireflyBackend::findings() const {
    std::vector<Finding> all;
    for (const Collector& collector : collectors_) {
        const net::Target& target = collector.target->target();
        if (target.state() == net::Target::State::resolving && !target.trouble().empty())
            all.push_back(unresolved(target.name(), target.trouble()));
        if (target.state() == net::Target::State::refused)
            all.push_back({FLOWD_LEVEL_WARNING, "firefly-collector-unreachable", target.name(), target.trouble(),
                           "it takes datagrams", "start the collector, or correct its address and port"});
    }
    return all;
}

std::vector<Finding> FireflyBackend::host_findings(const Options& options, const Offline&) {
    std::vector<Finding> all;
    for (const auto& collector : options.all_collectors()) {
        if (Address::parse(collector.address)) continue;
        addrinfo hints{};
        hints.ai_socktype = SOCK_DGRAM;
        addrinfo* list = nullptr;
        const int error = ::getaddrinfo(collector.address.c_str(), nullptr, &hints, &list);
        if (error == 0)
            ::freeaddrinfo(list);
        else
            all.push_back(unresolved(net::Target::name_of(collector.address, collector.port), ::gai_strerror(error)));
    }
    return all;
}

std::string FireflyBackend::summary() const {
    std::size_t sending = 0;
    for (const Collector& collector : collectors_)
        if (collector.target->target().state() == net::Target::State::sending) ++sending;
    return "sends to " + std::to_string(sending) + " of " + std::to_string(collectors_.size()) + " collectors" +
           (options_.send_to_destination ? " and to destinations" : "");
}

void FireflyBackend::explain(const FlowBatch& flows, Explanations& explanations) const {
    std::size_t index = 0;
    for (const flowd_flow& flow : flows) explain(index++, flow, explanations);
}

void FireflyBackend::explain(std::size_t index, const flowd_flow& flow, Explanations& explanations) const {
    const auto say = [&](const char* verdict, const std::string& subject, std::string_view text) {
        (void)explanations.add(index, verdict, subject, text);
    };
    if (flow.flow_id == 0) return say("not-announced", {}, "No plugin announces it, so no firefly is sent.");
    flowd_event event{};
    event.size = sizeof event;
    event.kind = FLOWD_EVENT_ONGOING;
    event.key = flow.key;
    switch (firefly::printable(event)) {
        case firefly::Printable::yes:
            break;
        case firefly::Printable::protocol:
            return say("skipped-protocol", {}, "It is neither TCP nor UDP: a firefly has no word for it.");
        default:
            return say("skipped-key", {}, "Its addresses or ports cannot stand in a firefly.");
    }
    for (const Collector& collector : collectors_) {
        const net::Target& target = collector.target->target();
        if (target.state() == net::Target::State::sending)
            say("sent", target.name(), "Its fireflies are sent to this collector.");
        else
            say("waiting", target.name(), "Its fireflies wait: " + target.trouble());
    }
    const Endpoint to{destination_of(flow.key).address, options_.destination_port};
    if (!options_.send_to_destination)
        say("not-to-destination", {}, "sendToDestination is off.");
    else if (!options_.forward_to_destination && (flow.flags & FLOWD_LEARNT_REMOTELY) != 0)
        say("not-to-destination", to.to_string(), "It was learnt from another host, which must not be told in turn.");
    else if (!options_.forward_to_destination && (flow.flags & FLOWD_NOT_TO_PEER) != 0)
        say("not-to-destination", to.to_string(), "It is metered: nobody at that end asked for fireflies.");
    else
        say("sent", to.to_string(), "Its fireflies are sent to its destination.");
}

}  // namespace flowd::firefly_backend
