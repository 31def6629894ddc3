// SPDX-License-Identifier: Apache-2.0
// The findings of the firefly backend, and its explanations of flows.
#include <algorithm>

#include "backends/firefly/firefly.hpp"
#include "lib/firefly/event.hpp"
#include "lib/net/target_findings.hpp"

namespace flowd::firefly_backend {

const net::TargetFindings collector_findings{"firefly-collector-unresolved", "firefly-collector-unroutable",
                                             "firefly-collector-silent", "firefly-collector-unreachable"};

namespace {

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
    if (collectors_.empty() && !options_.send_to_destination)
        all.push_back({FLOWD_LEVEL_WARNING,
                       "firefly-no-receiver",
                       {},
                       "no collector is configured, and sendToDestination is off: no firefly is sent",
                       "at least one receiver of fireflies",
                       "write `collectors: [{address: collector.example.org}]`"});
    for (const Collector& collector : collectors_) collector_findings.add(all, collector.target->target());
    return all;
}

std::vector<Finding> FireflyBackend::host_findings(const Options& options, const Offline&) {
    std::vector<Finding> all;
    for (const auto& collector : options.all_collectors())
        collector_findings.add_host(all, collector.address, collector.port);
    return all;
}

std::string FireflyBackend::summary() const {
    const auto is_sending = [](const Collector& collector) {
        return collector.target->target().state() == net::Target::State::sending;
    };
    const std::string destinations = options_.send_to_destination ? " and to destinations" : "";
    if (collectors_.size() == 1 && !is_sending(collectors_.front()))
        return net::trouble_text(collectors_.front().target->target()) +
               (options_.send_to_destination ? "; sends to destinations" : "");
    const auto sending = std::count_if(collectors_.begin(), collectors_.end(), is_sending);
    const std::string collectors =
        collectors_.size() == 1 ? collectors_.front().target->target().name()
                                : std::to_string(sending) + " of " + std::to_string(collectors_.size()) + " collectors";
    return "sends to " + collectors + destinations;
}

void FireflyBackend::explain(const FlowBatch& flows, Explanations& explanations) const {
    std::size_t index = 0;
    for (const flowd_flow& flow : flows) explain(index++, flow, explanations);
}

void FireflyBackend::explain(std::size_t index, const flowd_flow& flow, Explanations& explanations) const {
    const auto say = [&](const char* verdict, const std::string& subject, std::string_view text, std::int64_t time_ns = 0) {
        (void)explanations.add(index, {verdict, subject, text, time_ns});
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
    const std::string subject = to.to_string();
    const auto say = [&](const char* verdict, std::string_view text, std::int64_t time_ns = 0) {
        (void)explanations.add(index, {verdict, subject, text, time_ns});
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
