// SPDX-License-Identifier: Apache-2.0
#include "core/flows/kept_attachments.hpp"

#include <string_view>
#include <utility>

namespace flowd::core {
namespace {

void append(std::string& key, std::string_view text) {
    const std::size_t length = text.size();
    key.append(reinterpret_cast<const char*>(&length), sizeof length).append(text);
}

}  // namespace

std::uint32_t KeptAttachments::hold(std::span<const flowd_attachment> attachments) {
    found_.clear();
    key_.clear();
    for (const flowd_attachment& attachment : attachments) {
        if (!is_kept(attachment)) continue;
        found_.push_back(attachment);
        append(key_, to_view(attachment.id));
        append(key_, to_view(attachment.bytes));
    }
    if (found_.empty()) return none;
    if (const auto known = numbers_.find(key_); known != numbers_.end()) {
        ++sets_[known->second - 1].holders;
        return known->second;
    }
    if (bytes_ + key_.size() > max_bytes) return none;
    bytes_ += key_.size();
    if (free_.empty()) {
        sets_.emplace_back();
        free_.push_back(static_cast<std::uint32_t>(sets_.size()));
    }
    const std::uint32_t number = free_.back();
    sets_[number - 1] = {key_, Payload::copy(found_, {}), 1};
    numbers_.emplace(key_, number);
    free_.pop_back();
    return number;
}

void KeptAttachments::release(std::uint32_t& number) {
    const std::uint32_t own = std::exchange(number, none);
    if (own == none || --sets_[own - 1].holders > 0) return;
    bytes_ -= sets_[own - 1].key.size();
    numbers_.erase(sets_[own - 1].key);
    free_.push_back(own);
    sets_[own - 1] = {};
}

}  // namespace flowd::core
