// SPDX-License-Identifier: Apache-2.0
#include "core/config/value_tree.hpp"

#include <bit>
#include <cstring>

namespace flowd::core {

ValueTree::ValueTree() : storage_(std::make_unique<Storage>()) {
    storage_->root.size = sizeof(flowd_value);
    storage_->root.type = FLOWD_OPTION_GROUP;
}

flowd_string ValueTree::keep(std::string_view text) {
    if (text.empty()) return {"", 0};
    const std::string& kept = storage_->texts.emplace_back(text);
    return {kept.c_str(), kept.size()};
}

flowd_value* ValueTree::add_items(flowd_value& parent, std::size_t count) {
    parent.item_stride = sizeof(flowd_value);
    parent.item_count = count;
    parent.items = nullptr;
    if (count == 0) return nullptr;
    flowd_value empty{};
    empty.size = sizeof(flowd_value);
    auto& items = storage_->arrays.emplace_back(count, empty);
    parent.items = items.data();
    return items.data();
}

std::string_view ValueTree::file_of(const flowd_value& value) const {
    const auto found = storage_->files.find(&value);
    return found == storage_->files.end() ? std::string_view() : std::string_view(found->second);
}

void ValueTree::remember(std::string path, Location where) {
    storage_->places.insert_or_assign(std::move(path), std::move(where));
}

const Location& ValueTree::location_of(std::string_view path) const {
    for (;;) {
        if (const auto found = storage_->places.find(path); found != storage_->places.end()) return found->second;
        if (path.empty()) return storage_->nowhere;
        const auto cut = path.back() == ']' ? path.rfind('[') : path.rfind('.');
        path = path.substr(0, cut == std::string_view::npos ? 0 : cut);
    }
}

bool same_value(const flowd_value& a, const flowd_value& b) {
    if (a.type != b.type || (a.flags & FLOWD_VALUE_PRESENT) != (b.flags & FLOWD_VALUE_PRESENT)) return false;
    if (a.integer != b.integer || a.item_count != b.item_count) return false;
    if (std::bit_cast<std::uint64_t>(a.number) != std::bit_cast<std::uint64_t>(b.number)) return false;
    if (to_view(a.text) != to_view(b.text) || to_view(a.key) != to_view(b.key)) return false;
    if (std::memcmp(a.address, b.address, sizeof a.address) != 0) return false;
    for (std::size_t i = 0; i < a.item_count; ++i)
        if (!same_value(*item_at(a, i), *item_at(b, i))) return false;
    return true;
}

}  // namespace flowd::core
