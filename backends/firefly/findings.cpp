// SPDX-License-Identifier: Apache-2.0
// The findings of the firefly backend, and its explanations of flows.
#include <algorithm>

#include "backends/firefly/firefly.hpp"
#include "backends/firefly/verdicts.hpp"
#include "lib/firefly/event.hpp"
#include "lib/net/target_findings.hpp"
#include "lib/text/summary.hpp"

namespace flowd::firefly_backend {

const net::TargetFindings collector_findings{"firefly-collector-unresolved", "firefly-collector-unroutable",
                                             "firefly-collector-silent", "firefly-collector-unreachable"};

namespace {

std::string last_firefly(std::uint32_t kind) {
    return std::string("The last firefly (") + (kind == FLOWD_EVENT_START ? "start" : "ongoing") + ")";
}

static_assert(static_cast<int>(Verdict::unregistered) == static_cast<int>(Skip::unregistered) - 1);
Verdict verdict_of(Skip reason) {
    if (reason == Skip::size)
        return Verdict::not_queued;  // not possible: the least maxSize has room for all that is not a block
    return static_cast<Verdict>(static_cast<int>(reason) - (reason > Skip::size ? 1 : 0));
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
    if (options_.dry_run) {
        all.push_back({FLOWD_LEVEL_INFO,
                       "firefly-dry-run",
                       {},
                       "dryRun is on: no firefly is sent",
                       "fireflies that are sent",
                       "look at flowd-cpp firefly preview, then remove dryRun"});
        return all;
    }
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
    if (options_.dry_run) return "sends nothing (dryRun)";
    const auto is_sending = [](const Collector& collector) {
        return collector.target->target().state() == net::Target::State::sending;
    };
    const std::string destinations = options_.send_to_destination ? " and to destinations" : "";
    if (collectors_.size() == 1 && !is_sending(collectors_.front()))
        return net::trouble_text(collectors_.front().target->target());
    const auto sending = std::count_if(collectors_.begin(), collectors_.end(), is_sending);
    const std::string collectors =
        collectors_.size() == 1 ? collectors_.front().target->target().name()
                                : std::to_string(sending) + " of " + std::to_string(collectors_.size()) + " collectors";
    return text::fitted("sends to " + collectors, destinations);
}

void FireflyBackend::explain(const FlowBatch& flows, Explanations& explanations) const {
    std::size_t index = 0;
    for (const flowd_flow& flow : flows) explain(index++, flow, explanations);
}

void FireflyBackend::explain(std::size_t index, const flowd_flow& flow, Explanations& explanations) const {
    const auto refuse = [&](Verdict verdict, std::string_view subject = {}, std::int64_t time_ns = 0) {
        (void)explanations.add(index, {text_of(verdict).word, subject, text_of(verdict).text, time_ns, true});
    };
    if (flow.flow_id == 0) return refuse(flow.end_time_ns != 0 ? Verdict::ended : Verdict::not_announced);
    flowd_event event{};
    event.size = sizeof event;
    event.kind = FLOWD_EVENT_ONGOING;
    event.key = flow.key;
    switch (firefly::printable(event)) {
        case firefly::Printable::protocol:
            return refuse(Verdict::protocol);
        case firefly::Printable::port:
            return refuse(Verdict::port);
        case firefly::Printable::address:
            return refuse(Verdict::address);
        default:
            break;
    }
    if (collectors_.empty() && !options_.send_to_destination) return refuse(Verdict::no_receiver);
    if (options_.dry_run) return refuse(Verdict::dry_run);
    const FlowMemory::Flow* const known = flows_.find(flow.flow_id);
    const FlowMemory::Flow told = known != nullptr ? *known : FlowMemory::Flow{};
    for (const Collector& collector : collectors_) {
        const net::Target& target = collector.target->target();
        if ((told.collectors & collector.bit) == 0) {
            refuse(told.collector_skip == Skip::none ? Verdict::not_queued : verdict_of(told.collector_skip), target.name(),
                   told.collector_skip == Skip::none ? 0 : told.sent_ns);
            continue;
        }
        const bool sends = target.state() == net::Target::State::sending;
        const std::string text =
            last_firefly(told.kind) + (sends ? " was sent to this collector." : " waits to be sent: " + target.trouble());
        (void)explanations.add(
            index, {text_of(sends ? Verdict::sent : Verdict::waiting).word, target.name(), text, told.sent_ns, !sends});
    }
    explain_destination(index, flow, told, explanations);
}

void FireflyBackend::explain_destination(std::size_t index, const flowd_flow& flow, const FlowMemory::Flow& told,
                                         Explanations& explanations) const {
    const std::string subject = Endpoint{destination_of(flow.key).address, options_.destination_port}.to_string();
    const auto refuse = [&](Verdict verdict, std::int64_t time_ns = 0) {
        (void)explanations.add(index, {text_of(verdict).word, subject, text_of(verdict).text, time_ns, true});
    };
    if (!options_.send_to_destination) return refuse(Verdict::destination_off);
    const bool was_kept = told.destination_skip == Skip::received || told.destination_skip == Skip::metered;
    if (told.destination_skip != Skip::none && !(told.destination_knows && was_kept))
        return refuse(verdict_of(told.destination_skip), told.sent_ns);
    if (!told.destination_knows) return refuse(Verdict::not_queued);
    const std::string text = was_kept ? "A firefly was sent to the destination; the next one will report the end."
                                      : last_firefly(told.kind) + " was sent to the destination.";
    (void)explanations.add(index, {text_of(Verdict::sent).word, subject, text, was_kept ? 0 : told.sent_ns});
}

}  // namespace flowd::firefly_backend
