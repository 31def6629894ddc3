// SPDX-License-Identifier: Apache-2.0
#include "core/service/sampling.hpp"

#include <algorithm>

namespace flowd::core {

void Sampling::set_period(std::chrono::nanoseconds period) {
    (void)loop_.cancel(timer_);
    const auto& instances = supervisor_.instances();
    const bool enriches = std::any_of(instances.begin(), instances.end(),
                                      [](const auto& instance) { return instance->kind() == FLOWD_ENRICHER; });
    if (enriches && period.count() > 0) timer_ = loop_.timer(period, period, [this] { begin(); });
}

void Sampling::collect() {
    if (gate_ != nullptr && gate_->idle()) finish();
}

void Sampling::begin() {
    if (*applying_) return;          // the samples of the last period are not in the flow table yet
    if (gate_ != nullptr) finish();  // an enricher is late: the samples of the others are not delayed
    auto gate = std::make_shared<SampleGate>([&loop = loop_] { loop.wake(); }, late_);
    bool any = false;
    for (const auto& instance : supervisor_.instances())
        if (instance->kind() == FLOWD_ENRICHER) any = instance->sample(gate) || any;
    if (any) gate_ = std::move(gate);
}

void Sampling::finish() {
    *applying_ = true;
    aside_([&bus = bus_, gate = std::move(gate_), applying = applying_] {
        bus.apply_samples(gate->close());
        *applying = false;
    });
}

}  // namespace flowd::core
