// SPDX-License-Identifier: Apache-2.0
#include "core/flows/backend_queue.hpp"

#include <utility>

#include "core/flows/delivery_queue.hpp"

namespace flowd::core {

void Remains::add(std::span<const flowd_event> more) {
    for (const flowd_event& event : more) ++events[event.kind];
}

void Remains::add(const Remains& more) {
    for (std::size_t i = 0; i < events.size(); ++i) events[i] += more.events[i];
}

std::uint64_t Remains::total() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t count : events) sum += count;
    return sum;
}

BackendQueue::BackendQueue(std::shared_ptr<DeliveryQueue> queue) : queue_(std::move(queue)) {}

BackendQueue::~BackendQueue() {
    (void)queue_->close();
}

std::span<const flowd_event> BackendQueue::take() {
    return queue_->take();
}

void BackendQueue::settle(Fate fate, std::size_t count) {
    queue_->settle(fate, count);
}

void BackendQueue::hold() {
    queue_->hold();
}

void BackendQueue::acknowledge(std::uint64_t settled) {
    queue_->acknowledge(settled);
}

Remains BackendQueue::close() {
    return queue_->close();
}

std::size_t BackendQueue::depth() const {
    return queue_->depth();
}

const std::string& BackendQueue::name() const {
    return queue_->name();
}

}  // namespace flowd::core
