// SPDX-License-Identifier: Apache-2.0
#include "core/flows/kept_attachments.hpp"

#include <algorithm>
#include <functional>
#include <string_view>
#include <utility>

namespace flowd::core {
namespace {

bool same_id(const flowd_attachment& a, const flowd_attachment& b) {
    return to_view(a.id) == to_view(b.id);
}
bool same_attachments(std::span<const flowd_attachment> a, std::span<const flowd_attachment> b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& one, const auto& other) {
        return same_id(one, other) && to_view(one.bytes) == to_view(other.bytes);
    });
}
bool is_removal(const flowd_attachment& attachment) {
    return is_kept(attachment) && attachment.bytes.length == 0;
}
std::size_t cost_of(const flowd_attachment& attachment) {
    return attachment.id.length + attachment.bytes.length;
}

}  // namespace

std::uint32_t KeptAttachments::change(std::uint32_t before, std::span<const flowd_attachment> changes,
                                      std::uint64_t& not_kept) {
    found_.clear();
    std::size_t cost = 0;
    if (before != none)
        for (const flowd_attachment& kept : sets_[before - 1].payload->attachments()) {
            found_.push_back(kept);
            cost += cost_of(kept);
        }
    std::uint64_t too_many = 0;
    std::uint64_t changed = 0;
    for (const flowd_attachment& change : changes) {
        if (!is_kept(change)) continue;
        const auto same =
            std::find_if(found_.begin(), found_.end(), [&](const auto& kept) { return same_id(kept, change); });
        const std::size_t replaced = same == found_.end() ? 0 : cost_of(*same);
        if (is_removal(change)) {
            if (same != found_.end()) found_.erase(same);
            cost -= replaced;
        } else if (cost - replaced + cost_of(change) > max_bytes_of_flow ||
                   (same == found_.end() && found_.size() == max_of_flow)) {
            ++too_many;
            continue;
        } else {
            if (same == found_.end())
                found_.push_back(change);
            else
                *same = change;
            cost += cost_of(change) - replaced;
        }
        ++changed;
    }
    const auto number = enter();
    not_kept += too_many + (number ? 0 : changed);
    return number ? *number : hold(before);
}

std::optional<std::uint32_t> KeptAttachments::enter() {
    if (found_.empty()) return none;
    const std::hash<std::string_view> hash_of;
    std::size_t hash = 0;
    std::size_t bytes = 0;
    for (const flowd_attachment& kept : found_) {
        hash = (hash * 31 + hash_of(to_view(kept.id))) * 31 + hash_of(to_view(kept.bytes));
        bytes += cost_of(kept) + sizeof kept.id.length + sizeof kept.bytes.length;
    }
    Numbers& numbers = numbers_of(hash);
    const auto [first, last] = numbers.equal_range(hash);
    for (auto known = first; known != last; ++known)
        if (same_attachments(sets_[known->second - 1].payload->attachments(), found_)) return hold(known->second);
    if (bytes_ + bytes > max_bytes) return std::nullopt;
    Set set{hash, bytes, Payload::copy(found_, {}), 1};
    if (free_.empty()) {
        if (free_.capacity() <= sets_.size()) free_.reserve(2 * sets_.size() + 8);  // so that release() cannot fail
        sets_.emplace_back();
        free_.push_back(static_cast<std::uint32_t>(sets_.size()));
    }
    const std::uint32_t number = free_.back();
    numbers.emplace(hash, number);
    free_.pop_back();
    bytes_ += bytes;
    sets_[number - 1] = std::move(set);
    return number;
}

std::uint32_t KeptAttachments::hold(std::uint32_t number) {
    if (number != none) ++sets_[number - 1].holders;
    return number;
}

std::shared_ptr<const Payload> KeptAttachments::payload(std::uint32_t number, std::span<const flowd_attachment> own,
                                                        std::span<const flowd_sample> samples) {
    const auto kept = number == none ? std::span<const flowd_attachment>() : sets_[number - 1].payload->attachments();
    found_.assign(own.begin(), own.end());
    std::erase_if(found_, is_removal);
    const std::size_t brought = found_.size();
    std::size_t repeated = 0;
    for (const flowd_attachment& one : kept) {
        const auto end = found_.begin() + static_cast<std::ptrdiff_t>(brought);
        const auto same = std::find_if(found_.begin(), end, [&](const auto& other) { return same_id(other, one); });
        if (same == end)
            found_.push_back(one);
        else if (is_kept(*same) && to_view(same->bytes) == to_view(one.bytes))
            ++repeated;
    }
    // Often the event has brought exactly the attachments that are now kept.
    if (samples.empty() && repeated == brought && found_.size() == kept.size()) return payload(number);
    return Payload::copy(found_, samples);
}

std::size_t KeptAttachments::cost_with(std::uint32_t number, std::span<const flowd_attachment> own) const {
    const Payload* const kept = number == none ? nullptr : sets_[number - 1].payload.get();
    std::size_t sum = 0;
    for (const flowd_attachment& one : own)
        if (!is_removal(one)) sum += sizeof one + cost_of(one);
    if (!kept) return sum;
    for (const flowd_attachment& one : kept->attachments())
        if (std::none_of(own.begin(), own.end(), [&](const auto& other) { return same_id(other, one); }))
            sum += sizeof one + cost_of(one);
    return sum;
}

void KeptAttachments::release(std::uint32_t& number) {
    const std::uint32_t own = std::exchange(number, none);
    if (own == none || --sets_[own - 1].holders > 0) return;
    const Set& set = sets_[own - 1];
    bytes_ -= set.bytes;
    Numbers& numbers = numbers_of(set.hash);
    numbers.erase(std::find(numbers.find(set.hash), numbers.end(), Numbers::value_type(set.hash, own)));
    free_.push_back(own);
    sets_[own - 1] = {};
}

}  // namespace flowd::core
