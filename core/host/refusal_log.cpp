// SPDX-License-Identifier: Apache-2.0
#include "core/host/refusal_log.hpp"

#include "core/base/text.hpp"

namespace flowd::core {

namespace {

constexpr std::string_view overflow = "other";

}  // namespace

RefusalLog::Reason& RefusalLog::of(std::string_view reason) {
    if (const auto known = reasons_.find(reason); known != reasons_.end()) return known->second;
    if (reasons_.size() >= max_reasons && reason != overflow) return of(overflow);
    Reason& made = reasons_[std::string(reason)];
    auto opened = metrics_.open({.type = MetricType::counter,
                                 .name = "refused_total",
                                 .help = "Inputs that an instance refused, by reason.",
                                 .labels = {{"flowd_instance", label_}, {"reason", std::string(reason)}}});
    if (opened) made.count = std::move(*opened);
    return made;
}

void RefusalLog::add(std::string_view reason, std::string_view sender, std::string_view first, Clock::time_point now) {
    refusals_.add(label_, reason, sender, first);
    std::uint64_t silent = 0;
    {
        const std::lock_guard lock(mutex_);
        if (closed_) return;
        Reason& counted = of(reason);
        if (counted.count != nullptr) counted.count->add(1);
        if (counted.logged != Clock::time_point{} && now - counted.logged < log_period) {
            ++counted.silent;
            return;
        }
        counted.logged = now;
        silent = std::exchange(counted.silent, 0);
    }
    std::string line = "refused: " + std::string(reason);
    if (!sender.empty()) line += ", from " + escaped(sender.substr(0, Refusals::max_text));
    if (!first.empty()) line += ": " + escaped(first.substr(0, Refusals::max_text));
    if (silent > 0) line += " (and " + std::to_string(silent) + " more for this reason since the last such line)";
    logger_.warn("{}", line);
}

void RefusalLog::close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    for (const auto& [name, reason] : reasons_)
        if (reason.count != nullptr) metrics_.remove(reason.count);
    reasons_.clear();
}

}  // namespace flowd::core
