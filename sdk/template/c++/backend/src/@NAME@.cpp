// SPDX-License-Identifier: Apache-2.0
#include "@NAME@.hpp"

namespace @NAME@_module {

const flowd::Table<Options>& Options::table() {
    static const flowd::Table<Options> table{
        flowd::option("quiet", &Options::quiet).default_value(false).doc("Count only, write no lines."),
    };
    return table;
}

@CLASS@::@CLASS@(flowd::Host& host, Options options)
    : Backend(host),
      options_(options),
      started_(host.counter("@NAME@_flows_total", "Flows seen.", {{"event", "start"}})),
      retagged_(host.counter("@NAME@_flows_total", "Flows seen.", {{"event", "retag"}})),
      ended_(host.counter("@NAME@_flows_total", "Flows seen.", {{"event", "end"}})) {}

flowd::Taken @CLASS@::on_events(const flowd::Events& events) {
    // Borrowed until this returns. Runs on this instance's thread: while it blocks, the bounded queue behind it fills.
    for (const flowd::EventView event : events) {
        if (event.is_end()) {
            if (live_.erase(event->flow_id) > 0) write("end", event, ended_);
            continue;
        }
        const auto [known, is_new] = live_.try_emplace(event->flow_id, event->tag);
        if (is_new) {
            write("start", event, started_);
        } else if (!flowd::same_tag(known->second, event->tag)) {  // an ongoing with FLOWD_RETAGGED, or a repeated start
            known->second = event->tag;
            write("retag", event, retagged_);
        }
    }
    return flowd::Taken::all();  // or full(count), and host().ready() when there is room for the rest
}

void @CLASS@::write(std::string_view what, const flowd::EventView& event, flowd::Counter& counter) {
    counter.add();
    if (options_.quiet) return;
    host().info(std::string(what) + " " + event.source().to_string() + " " + event.destination().to_string() + " " +
                std::to_string(event->tag.experiment) + "/" + std::to_string(event->tag.activity));
}

flowd::Result<void> @CLASS@::reconfigure(Options options) {
    options_ = options;
    return {};
}

void @CLASS@::status(flowd::json::Writer& object) const { object.member("live", live_.size()).member("quiet", options_.quiet); }

std::vector<flowd::Command<@CLASS@>> @CLASS@::commands() {
    return {{"quiet", "on|off", "Stops or resumes the lines.", true, &@CLASS@::quiet}};
}

flowd::Result<void> @CLASS@::quiet(const std::vector<std::string_view>& arguments, flowd::json::Writer& answer) {
    if (arguments.size() != 1 || (arguments[0] != "on" && arguments[0] != "off"))
        return flowd::Error{FLOWD_INVALID, "one word is expected", "on or off"};
    options_.quiet = arguments[0] == "on";
    answer.value(options_.quiet);
    return {};
}

}  // namespace @NAME@_module

FLOWD_MODULE(@NAME@_module::@CLASS@);
