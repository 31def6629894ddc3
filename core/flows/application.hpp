// SPDX-License-Identifier: Apache-2.0
// core/flows/application.hpp: names of applications, one copy for all the flows of a shard.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "flowd/abi/base.h"

namespace flowd::core {

/// A shared, constant text in eight bytes (a million flow records hold one). Copies and ends on any thread.
class Application {
  public:
    Application() = default;
    explicit Application(std::string_view text) : node_(new Node{{1}, std::string(text)}) {}
    Application(const Application& other) : node_(other.node_) {
        if (node_) node_->references.fetch_add(1, std::memory_order_relaxed);
    }
    Application(Application&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
    Application& operator=(Application other) noexcept {
        std::swap(node_, other.node_);
        return *this;
    }
    ~Application() {
        if (node_ && node_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete node_;
    }

    [[nodiscard]] bool empty() const { return node_ == nullptr; }
    [[nodiscard]] std::string_view text() const { return node_ ? std::string_view(node_->text) : std::string_view(); }
    [[nodiscard]] flowd_string borrowed() const { return {text().data(), text().size()}; }
    [[nodiscard]] std::uint32_t holders() const { return node_ ? node_->references.load(std::memory_order_acquire) : 0; }
    void reset() { *this = Application(); }

  private:
    struct Node {
        std::atomic<std::uint32_t> references;
        const std::string text;
    };
    Node* node_ = nullptr;
};

/// The names in use in one shard. Guarded by the shard's lock.
class Applications {
  public:
    Application intern(std::string_view text) {
        if (text.empty()) return {};
        const auto known = names_.find(text);
        if (known != names_.end()) return known->second;
        Application fresh(text);
        names_.emplace(fresh.text(), fresh);
        return fresh;
    }
    /// Gives up a flow's hold, and the name with it when no other flow and no waiting event has it.
    void release(Application& name) {
        if (name.holders() == 2) names_.erase(names_.find(name.text()));
        name.reset();
    }
    /// Forgets the names that only waiting events had held when their flows went.
    void prune() {
        for (auto it = names_.begin(); it != names_.end();)
            it = it->second.holders() == 1 ? names_.erase(it) : std::next(it);
    }
    [[nodiscard]] std::size_t size() const { return names_.size(); }

  private:
    std::unordered_map<std::string_view, Application> names_;
};

}  // namespace flowd::core
