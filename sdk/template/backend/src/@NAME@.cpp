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
      ended_(host.counter("@NAME@_flows_total", "Flows seen.", {{"event", "end"}})) {}

flowd::Taken @CLASS@::on_events(const flowd::Events& events) {
    // Borrowed until this returns. Runs on this instance's thread: while it blocks, the bounded queue behind it fills.
    for (const flowd::EventView event : events) {
        if (event.is_start()) {
            ++live_;
            started_.add();
        } else {
            live_ -= live_ > 0 ? 1 : 0;
            ended_.add();
        }
        if (options_.quiet) continue;
        host().info((event.is_start() ? "start " : "end ") + event.source().to_string() + " " +
                    event.destination().to_string());
    }
    return flowd::Taken::all();  // or full(count), and host().ready() when there is room for the rest
}

flowd::Result<void> @CLASS@::reconfigure(Options options) {
    options_ = options;
    return {};
}

void @CLASS@::status(flowd::json::Writer& object) const { object.member("live", live_).member("quiet", options_.quiet); }

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
