// SPDX-License-Identifier: Apache-2.0
#include "@NAME@.hpp"

#include <netinet/in.h>

#include <utility>

#include "flowd/key.hpp"

namespace @NAME@_module {
namespace {

flowd_key key_of(const Options& options) {
    return flowd::make_key({options.source, options.source_port}, {options.destination, options.destination_port}, IPPROTO_TCP);
}

flowd_tag tag_of(const Options& options) { return {options.experiment, options.activity}; }

}  // namespace

const flowd::Table<Options>& Options::table() {
    static const flowd::Table<Options> table{
        flowd::option("source", &Options::source).required().doc("Address of this host."),
        flowd::option("sourcePort", &Options::source_port).range(1, 65535).required().doc("Port of this host."),
        flowd::option("destination", &Options::destination).required().doc("Address of the other host."),
        flowd::option("destinationPort", &Options::destination_port)
            .range(1, 65535)
            .default_value(443)
            .doc("Port of the other host."),
        flowd::option("experimentId", &Options::experiment).experiment().range(0, 511).required().doc("Experiment of the flow."),
        flowd::option("activityId", &Options::activity).activity().range(0, 63).required().doc("Activity of the flow."),
    };
    return table;
}

void @CLASS@::validate(const Options& options, flowd::Problems& problems) {
    if (options.source == options.destination)
        problems.error("destination", "source and destination are the same address", "name the other host");
}

flowd::Result<void> @CLASS@::start() { return announce(); }

flowd::Result<void> @CLASS@::announce() {
    flowd::Event event = flowd::Event::start(key_of(options_), tag_of(options_));
    event->local = FLOWD_LOCAL_SOURCE;
    event.application("@NAME@").rule("the configuration");
    // A real plugin emits from a watch (host().watch) or a timer (host().every), and reads no further while outbox_.full().
    if (!outbox_.put(std::move(event))) return flowd::Error{FLOWD_LIMIT, "the core refused the flow"};
    announced_ = true;
    return {};
}

flowd::Result<void> @CLASS@::reconfigure(Options options) {
    // For another flow the core creates a new instance and stops this one.
    if (!flowd::KeyEqual{}(key_of(options), key_of(options_))) return flowd::Error{FLOWD_UNSUPPORTED, "another flow"};
    options_ = options;
    return announce();  // a start of a live flow with another tag re-tags it
}

flowd::Result<void> @CLASS@::stop(flowd::Deadline deadline) {
    if (announced_) {
        flowd::Event event = flowd::Event::end(key_of(options_), tag_of(options_));
        event->end_reason = FLOWD_END_WITHDRAWN;  // the plugin stops; the connection may still be open
        outbox_.put(std::move(event));
    }
    outbox_.stop(deadline);
    return {};
}

void @CLASS@::status(flowd::json::Writer& object) const {
    object.member("summary", outbox_.full() ? "waits for room" : "announces one flow");
    object.member("announced", !outbox_.full());
    object.member("destination", flowd::Endpoint{options_.destination, options_.destination_port}.to_string());
}

}  // namespace @NAME@_module

FLOWD_MODULE(@NAME@_module::@CLASS@);
