// SPDX-License-Identifier: Apache-2.0
#include "plugins/perfsonar/perfsonar.hpp"

#include <string>
#include <utility>

#include "flowd/label.hpp"

namespace flowd::perfsonar {

const Table<PerfsonarOptions>& PerfsonarOptions::table() {
    // Bounded by what a flow label can carry: a tag that does not fit must be refused here, never cut silently.
    static const Table<PerfsonarOptions> table{
        option("experimentId", &PerfsonarOptions::experiment)
            .experiment()
            .range(0, label::max_experiment)
            .aliases({"experimentID", "experiment"})
            .required()
            .doc("Experiment of the traffic, by id or by its name in the registry."),
        option("activityId", &PerfsonarOptions::activity)
            .activity()
            .range(0, label::max_activity)
            .aliases({"activityID", "activity"})
            .required()
            .doc("Activity of the traffic, by id or by its name in the registry."),
    };
    return table;
}

Perfsonar::Perfsonar(Host& host, Options options) : Plugin(host), options_(options) {}

void Perfsonar::validate(const Options& options, Problems& problems) {
    if (options.experiment == 0 && options.activity == 0)
        problems.warning("experimentId", "experiment 0 with activity 0 means \"no valid tag\": nothing will be marked",
                         "set the experiment and the activity of this host's tests, e.g. experimentId: atlas and "
                         "activityId: perfsonar");
}

Result<void> Perfsonar::start() {
    return announce();
}

Result<void> Perfsonar::announce() {
    const Emitted emitted = host().emit(Event::catch_all({options_.experiment, options_.activity}));
    switch (emitted.result) {
        case FLOWD_OK:
            state_ = State::announced;
            return {};
        case FLOWD_FULL:
            state_ = State::waiting;
            return {};  // on_room follows
        case FLOWD_STOPPED:
            state_ = State::idle;
            return {};
        default:
            return Error{emitted.result, "the core refused the catch-all tag"};
    }
}

void Perfsonar::on_room() {
    if (state_ != State::waiting) return;
    if (const auto announced = announce(); !announced) {
        state_ = State::refused;
        host().report(Problem::from(announced.error()));
    }
}

Result<void> Perfsonar::reconfigure(Options options) {
    const Options before = std::exchange(options_, options);
    if (state_ == State::idle) return {};
    auto announced = announce();  // a new catch-all takes the place of the one before
    if (!announced) options_ = before;
    return announced;
}

Result<void> Perfsonar::stop(Deadline) {
    // Also when the last try is still waiting: an earlier tag may be in force. Clearing twice does no harm.
    if (state_ != State::idle) (void)host().emit(Event::catch_all_clear());
    state_ = State::idle;
    return {};
}

void Perfsonar::status(json::Writer& object) const {
    static constexpr const char* names[] = {"idle", "waiting for room", "announced", "refused"};
    const Registry registry = host().registry();
    object.member("catchAll", names[static_cast<int>(state_)]);
    object.member("experiment", options_.experiment);
    object.member("experimentName", registry.experiment_name(options_.experiment));
    object.member("activity", options_.activity);
    object.member("activityName", registry.activity_name(options_.experiment, options_.activity));
    const auto flow_label = label::encode({options_.experiment, options_.activity});
    if (flow_label) object.member("flowLabel", *flow_label);
}

}  // namespace flowd::perfsonar

FLOWD_MODULE(flowd::perfsonar::Perfsonar);
