// SPDX-License-Identifier: Apache-2.0
#include "plugins/perfsonar/perfsonar.hpp"

#include <string>
#include <utility>

#include "flowd/label.hpp"
#include "plugins/perfsonar/verdicts.hpp"

namespace flowd::perfsonar {

Perfsonar::Perfsonar(Host& host, Options options) : Plugin(host), options_(std::move(options)) {}

Result<void> Perfsonar::prepare() {
    if (!options_.flows) return {};
    auto metering = Metering::make(host(), options_);
    if (!metering) return std::move(metering).error();
    metering_ = *std::move(metering);
    return {};
}

Result<void> Perfsonar::start() {
    // The catch-all first: flows are announced with its tag.
    if (auto done = announce(); !done || !metering_) return done;
    return metering_->start();
}

Result<void> Perfsonar::announce() {
    const State before = std::exchange(state_, State::waiting);
    if (outbox_.put(Event::catch_all({options_.experiment, options_.activity}))) return {};
    state_ = before;
    return refusal();
}

void Perfsonar::on_room() {
    outbox_.drain();
    if (metering_) metering_->on_room();
}

Result<void> Perfsonar::reconfigure(Options options) {
    Options before = std::exchange(options_, std::move(options));
    if (state_ == State::idle) return {};
    auto done = announce();  // a new catch-all replaces the previous one
    if (done) done = remeter(options_);
    if (done) return done;
    options_ = std::move(before);
    (void)announce();
    return done;
}

Result<void> Perfsonar::remeter(const Options& options) {
    if (metering_ && options.flows) return metering_->reconfigure(options);
    if (metering_) {
        metering_->stop(Deadline::in(std::chrono::seconds(1)));
        metering_.reset();
    } else if (options.flows) {
        auto metering = Metering::make(host(), options);
        if (!metering) return std::move(metering).error();
        if (auto done = (*metering)->start(); !done) return done;
        metering_ = *std::move(metering);
    }
    return {};
}

Result<void> Perfsonar::stop(Deadline deadline) {
    if (metering_) metering_->stop(deadline);
    metering_.reset();
    // Also if the tag still waits in the outbox: an earlier one may be in force. Clearing twice is harmless.
    outbox_.clear();
    if (state_ != State::idle) outbox_.put(Event::catch_all_clear());
    state_ = State::idle;
    return {};
}

void Perfsonar::explain(const FlowBatch& flows, Explanations& explanations) const {
    std::size_t index = 0;
    for (const flowd_flow& flow : flows) {
        const std::size_t at = index++;
        const Verdict verdict = !metering_ || flow.key.scope != 0 ? Verdict::flows_off : metering_->verdict_on(flow.key);
        // Of a flow that others announce, only what the meter adds is of interest.
        if (verdict != Verdict::metered && flow.flow_id != 0) continue;
        Explanation said{text_of(verdict).word, {}, text_of(verdict).text, 0, verdict != Verdict::metered};
        if (verdict == Verdict::metered) said.tag = options_.tag();
        (void)explanations.add(at, said);
    }
}

void Perfsonar::plan(const Options& options, const Connections& connections, Plan& plan, const Offline&) {
    std::size_t index = 0;
    for (const flowd_connection& one : connections) {
        const std::size_t at = index++;
        if (destination_of(one.key).port == 0) continue;
        // Whether a flow reaches minBytes and minPackets is not known before.
        const bool is_excluded = options.exclude.includes(one.key);
        if (options.flows && !is_excluded)
            (void)plan.add(at, {FLOWD_PLANNED_FLOW, {}, options.tag()});
        else
            (void)plan.add(at, {FLOWD_PLANNED_CATCH_ALL, text_of(is_excluded ? Verdict::excluded : Verdict::flows_off).text,
                                options.tag()});
    }
}

void Perfsonar::status(json::Writer& object) const {
    static constexpr const char* names[] = {"idle", "waiting for the bus", "announced", "refused"};
    const Registry registry = host().registry();
    object.member("summary", metering_ ? metering_->summary() : "tags all traffic without a tag of its own");
    object.member("catchAll", names[static_cast<int>(state_)]);
    object.member("experiment", options_.experiment);
    object.member("experimentName", registry.experiment_name(options_.experiment));
    object.member("activity", options_.activity);
    object.member("activityName", registry.activity_name(options_.experiment, options_.activity));
    const auto flow_label = label::encode({options_.experiment, options_.activity});
    if (flow_label) object.member("flowLabel", *flow_label);
    if (metering_) metering_->status(object);
}

}  // namespace flowd::perfsonar

FLOWD_MODULE(flowd::perfsonar::Perfsonar);
