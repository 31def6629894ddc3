// SPDX-License-Identifier: Apache-2.0
// The findings of the firefly backend, and its explanations of flows.
#include <netdb.h>

#include <algorithm>
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

std::string last_firefly(std::uint32_t kind) {
    return std::string("The last firefly (") + (kind == FLOWD_EVENT_START ? "start" : "ongoing") + ")";
}

/// Why a firefly of the flow was not sent to one of its receivers.
std::string_view why(Skip reason) {
    switch (reason) {
        case Skip::size:
            return "The firefly does not fit into maxSize.";
        case Skip::received:
            return "The flow was learnt from a firefly, and forwardToDestination is off.";
        case Skip::metered:
            return "The plugin that announces the flow forbids it, as for metered flows, and forwardToDestination is off.";
        case Skip::not_a_host:
            return "The destination is a multicast group, or link-local without a zone.";
        case Skip::ourselves:
            return "This daemon itself receives there.";
        case Skip::relayed:
            return "A plugin has already relayed the original firefly there.";
        case Skip::hops:
            return "The firefly has already passed the maximum number of daemons.";
        case Skip::peer:
            return "The firefly came from there.";
        case Skip::limited:
            return "Too many fireflies of this flow arrived in a short time.";
        default:
            return "A firefly cannot report this flow.";
    }
}

}  // namespace

std::vector<Finding> FireflyBackend::findings() const {
    std::vector<Finding> all;
    for (const Collector& collector : collectors_) {
        const net::Target& target = collector.target->target();
        if (target.state() == net::Target::State::resolving && target.has_failed())
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
    const auto state_of = [](const Collector& collector) { return collector.target->target().state(); };
    if (collectors_.size() == 1 && state_of(collectors_.front()) != net::Target::State::sending) {
        const bool is_refused = state_of(collectors_.front()) == net::Target::State::refused;
        return (is_refused ? "is refused by " : "resolves ") + collectors_.front().target->target().name() +
               (options_.send_to_destination ? "; sends to destinations" : "");
    }
    const auto sending = std::count_if(collectors_.begin(), collectors_.end(), [&](const Collector& collector) {
        return state_of(collector) == net::Target::State::sending;
    });
    const std::string collectors =
        collectors_.size() == 1 ? collectors_.front().target->target().name()
                                : std::to_string(sending) + " of " + std::to_string(collectors_.size()) + " collectors";
    return "sends to " + collectors + (options_.send_to_destination ? " and to destinations" : "");
}

void FireflyBackend::explain(const FlowBatch& flows, Explanations& explanations) const {
    std::size_t index = 0;
    for (const flowd_flow& flow : flows) explain(index++, flow, explanations);
}

void FireflyBackend::explain(std::size_t index, const flowd_flow& flow, Explanations& explanations) const {
    const auto say = [&](const char* verdict, const std::string& subject, std::string_view text, std::int64_t time_ns = 0) {
        (void)explanations.add(index, verdict, subject, text, time_ns);
    };
    if (flow.flow_id == 0) return say("not-announced", {}, "No plugin has announced this flow, so no firefly is sent.");
    flowd_event event{};
    event.size = sizeof event;
    event.kind = FLOWD_EVENT_ONGOING;
    event.key = flow.key;
    switch (firefly::printable(event)) {
        case firefly::Printable::yes:
            break;
        case firefly::Printable::protocol:
            return say("skipped-protocol", {}, "A firefly can only report TCP and UDP.");
        default:
            return say("skipped-key", {}, "A firefly cannot report such addresses or ports.");
    }
    const FlowMemory::Flow* const known = flows_.find(flow.flow_id);
    const FlowMemory::Flow told = known != nullptr ? *known : FlowMemory::Flow{};
    for (const Collector& collector : collectors_) {
        const net::Target& target = collector.target->target();
        const bool has_it = (told.collectors & collector.bit) != 0;
        if (has_it && target.state() == net::Target::State::sending)
            say("sent", target.name(), last_firefly(told.kind) + " was sent to this collector.", told.sent_ns);
        else if (has_it)
            say("waiting", target.name(), last_firefly(told.kind) + " waits to be sent: " + target.trouble(), told.sent_ns);
        else if (told.collector_skip != Skip::none)
            say("not-sent", target.name(), why(told.collector_skip), told.sent_ns);
        else
            say("not-sent", target.name(), "No firefly of this flow has been queued for this collector yet.");
    }
    explain_destination(index, flow, told, explanations);
}

void FireflyBackend::explain_destination(std::size_t index, const flowd_flow& flow, const FlowMemory::Flow& told,
                                         Explanations& explanations) const {
    const Endpoint to{destination_of(flow.key).address, options_.destination_port};
    const auto say = [&](const char* verdict, std::string_view text, std::int64_t time_ns = 0) {
        (void)explanations.add(index, verdict, to.to_string(), text, time_ns);
    };
    if (!options_.send_to_destination) return say("not-to-destination", "sendToDestination is off.");
    const bool was_kept = told.destination_skip == Skip::received || told.destination_skip == Skip::metered;
    if (told.destination_knows && was_kept)
        say("sent", "A firefly was sent to the destination; the next one will report the end.");
    else if (told.destination_skip != Skip::none)
        say("not-to-destination", why(told.destination_skip), told.sent_ns);
    else if (told.destination_knows)
        say("sent", last_firefly(told.kind) + " was sent to the destination.", told.sent_ns);
    else
        say("not-to-destination", "No firefly of this flow has been sent to the destination yet.");
}

}  // namespace flowd::firefly_backend
