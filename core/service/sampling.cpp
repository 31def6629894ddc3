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
    if (open_ != nullptr && open_->idle()) finish();
}

void Sampling::begin() {
    if (*applying_) return;          // the samples of the last period have not been applied yet
    if (open_ != nullptr) finish();  // an enricher is late; the samples of the others are applied
    auto open = std::make_shared<OpenPeriod>([&loop = loop_] { loop.wake(); }, late_);
    bool any = false;
    for (const auto& instance : supervisor_.instances())
        if (instance->kind() == FLOWD_ENRICHER) any = instance->sample(open) || any;
    if (any) open_ = std::move(open);
}

void Sampling::finish() {
    *applying_ = true;
    aside_([&bus = bus_, open = std::move(open_), applying = applying_] {
        bus.apply_samples(open->close());
        *applying = false;
    });
}

}  // namespace flowd::core
