// SPDX-License-Identifier: Apache-2.0
// core/flows/flow_texts.hpp: the application and the rule of a flow, one copy for all flows of a shard.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "flowd/sized.hpp"

namespace flowd::core {

/// Two shared, constant texts in eight bytes (a million flow records have one each). Copied and released on any thread.
class FlowTexts {
  public:
    FlowTexts() = default;
    FlowTexts(std::string_view application, std::string_view rule)
        : node_(new Node{{1}, application.size(), std::string(application).append(rule)}) {}
    FlowTexts(const FlowTexts& other) noexcept : node_(other.node_) {
        if (node_) node_->references.fetch_add(1, std::memory_order_relaxed);
    }
    FlowTexts(FlowTexts&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
    FlowTexts& operator=(FlowTexts other) noexcept {
        std::swap(node_, other.node_);
        return *this;
    }
    ~FlowTexts() {
        if (node_ && node_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete node_;
    }

    [[nodiscard]] bool empty() const { return node_ == nullptr; }
    [[nodiscard]] bool is(const FlowTexts& other) const { return node_ == other.node_; }  ///< the same copy
    [[nodiscard]] std::string_view application() const {
        return node_ ? std::string_view(node_->text).substr(0, node_->application_length) : std::string_view();
    }
    [[nodiscard]] std::string_view rule() const {
        return node_ ? std::string_view(node_->text).substr(node_->application_length) : std::string_view();
    }
    /// Sets the texts of a flowd_event or a flowd_flow; valid while the texts are held.
    template <typename Struct>
    void lend_to(Struct& to) const {
        to.application = to_c(application());
        to.rule = to_c(rule());
    }
    [[nodiscard]] std::uint32_t holders() const { return node_ ? node_->references.load(std::memory_order_acquire) : 0; }
    void reset() { *this = FlowTexts(); }

  private:
    struct Node {
        std::atomic<std::uint32_t> references;
        const std::size_t application_length;
        const std::string text;
    };
    Node* node_ = nullptr;
};

/// The texts in use in one shard. Guarded by the shard's lock, and limited for that reason: further texts are not shared.
class TextPool {
  public:
    static constexpr std::size_t max_texts = 512;

    FlowTexts intern(std::string_view application, std::string_view rule) {
        if (application.empty() && rule.empty()) return {};
        const auto known = texts_.find({application, rule});
        if (known != texts_.end()) return known->second;
        FlowTexts fresh(application, rule);
        if (is_full()) return fresh;
        texts_.emplace(Key{fresh.application(), fresh.rule()}, fresh);
        return fresh;
    }
    /// Releases a flow's texts, and frees them if no other flow and no queued event uses them.
    void release(FlowTexts& texts) {
        if (texts.holders() == 2) {
            const auto known = texts_.find({texts.application(), texts.rule()});
            if (known != texts_.end() && known->second.is(texts)) texts_.erase(known);
        }
        texts.reset();
    }
    /// Removes texts that only queued events used when their flows ended.
    void prune() {
        for (auto it = texts_.begin(); it != texts_.end();)
            it = it->second.holders() == 1 ? texts_.erase(it) : std::next(it);
    }
    [[nodiscard]] std::size_t size() const { return texts_.size(); }
    [[nodiscard]] bool is_full() const { return texts_.size() >= max_texts; }

  private:
    struct Key {
        std::string_view application;
        std::string_view rule;
        friend bool operator==(const Key&, const Key&) = default;
    };
    struct Hash {
        std::size_t operator()(const Key& key) const {
            const std::hash<std::string_view> hash;
            return hash(key.application) * 31 + hash(key.rule);
        }
    };
    std::unordered_map<Key, FlowTexts, Hash> texts_;
};

}  // namespace flowd::core
