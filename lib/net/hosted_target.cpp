// SPDX-License-Identifier: Apache-2.0
#include "lib/net/hosted_target.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

namespace flowd::net {

HostedTarget::HostedTarget(Host& host, std::unique_ptr<Target> target, Target::Forbidden forbidden)
    : host_(host), target_(std::move(target)), forbidden_(std::move(forbidden)) {}

void HostedTarget::start() {
    tick();
}

void HostedTarget::resolve_every(std::chrono::milliseconds interval) {
    with([&](Target& target) { target.resolve_every(interval); });
}

void HostedTarget::tick() {
    const std::lock_guard lock(mutex_);
    writable_.reset();  // the tick may change the descriptor
    timer_.reset();
    target_->tick(Target::Clock::now(), forbidden_);
    blocked_ = !target_->flush(Target::Clock::now());
    settle_locked();
    if (!timer_) arm();
}

void HostedTarget::arm() {
    armed_ = target_->due();
    const auto delay = std::max<std::chrono::nanoseconds>(armed_ - Target::Clock::now(), std::chrono::milliseconds(1));
    auto timer = host_.after(delay, [this] { tick(); });
    if (timer)
        timer_ = std::move(*timer);
    else
        host_.report(Problem::from(timer.error()));
}

void HostedTarget::report_trouble() {
    const std::string& trouble = target_->trouble();
    if (target_->sender().counts().dropped > lost_told_ && !std::exchange(loss_begun_, true))
        host_.warning(target_->name() + ": the queue of fireflies is full; further ones are dropped");
    if (trouble == reported_ && announced_) return;
    if (trouble.empty()) {
        const std::uint64_t lost = take_lost();
        host_.info("sending to " + target_->name() + " at " + target_->address_text() +
                   (lost == 0 ? "" : "; fireflies dropped before: " + std::to_string(lost)));
    } else if (target_->state() == Target::State::refused)
        host_.warning(target_->name() + " refuses fireflies (" + trouble + "): they are queued and it is retried");
    else if (target_->endpoint())
        host_.warning(target_->name() + ": " + trouble + "; still using " + target_->address_text());
    else if (announced_ || !target_->waits_for_answer())
        host_.warning(target_->name() + " cannot be reached: " + trouble);
    else
        return;
    reported_ = trouble;
    announced_ = true;
}

bool HostedTarget::send() {
    const std::lock_guard lock(mutex_);
    blocked_ = !target_->flush(Target::Clock::now());
    const bool says_loss = target_->sender().counts().dropped > lost_told_ && !loss_begun_;
    const bool says_trouble = !announced_ || target_->trouble() != reported_;
    return !blocked_ && !writable_ && !says_loss && !says_trouble && !(timer_ && target_->due() < armed_);
}

void HostedTarget::settle() {
    const std::lock_guard lock(mutex_);
    settle_locked();
}

void HostedTarget::settle_locked() {
    report_trouble();
    if (timer_ && target_->due() < armed_) arm();
    if (!blocked_) {
        writable_.reset();
        return;
    }
    if (writable_) return;
    auto watch = host_.watch(target_->fd(), FLOWD_IO_WRITE, [this](std::uint32_t) { flush(); });
    if (watch)
        writable_ = std::move(*watch);
    else
        host_.report(Problem::from(watch.error()));
}

void HostedTarget::stop(const Deadline& deadline) {
    const std::lock_guard lock(mutex_);
    timer_.reset();
    writable_.reset();
    while (!target_->flush(Target::Clock::now()) && !deadline.passed()) {
        pollfd wanted{target_->fd(), POLLOUT, 0};
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline.left()).count();
        (void)::poll(&wanted, 1, static_cast<int>(std::min<long>(left + 1, 1000)));
    }
    target_->discard();
    host_.lost(take_lost(), "fireflies for " + target_->name() + " could not be sent before the stop");
}

std::uint64_t HostedTarget::take_lost() {
    const SenderCounts& counts = target_->sender().counts();
    const std::uint64_t lost = counts.dropped + counts.failed;
    loss_begun_ = false;
    return lost - std::exchange(lost_told_, lost);
}

void HostedTarget::status(json::Writer& writer) const {
    const std::lock_guard lock(mutex_);
    constexpr std::array<std::string_view, 3> names{"resolving", "sending", "refused"};
    const auto& counts = target_->sender().counts();
    writer.object().member("target", target_->name());
    writer.member("address", target_->address_text());
    writer.member("state", names[static_cast<std::size_t>(target_->state())]);
    if (target_->state() != Target::State::sending) {
        const auto left = std::chrono::duration_cast<std::chrono::seconds>(target_->due() - Target::Clock::now());
        writer.member("nextTrySeconds", std::max<std::int64_t>(left.count(), 0));
    }
    writer.member("sent", counts.sent).member("failed", counts.failed).member("dropped", counts.dropped);
    writer.member("refused", counts.refused).member("waiting", target_->sender().waiting());
    writer.member("lastError", target_->trouble().empty() ? target_->sender().last_error() : target_->trouble());
    writer.end();
}

}  // namespace flowd::net
