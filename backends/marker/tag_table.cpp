// SPDX-License-Identifier: Apache-2.0
#include "backends/marker/tag_table.hpp"

#include <time.h>

#include <chrono>
#include <vector>

#include "flowd/address.hpp"
#include "lib/bpf/flow_key.hpp"

namespace flowd::marker {
namespace {

std::uint32_t unix_seconds() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(now).count());
}

/// The clock of the program (bpf_ktime_get_coarse_ns).
std::uint64_t monotonic_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

TagTable::TagTable(Program& program, Marks marks, std::uint32_t capacity, std::chrono::nanoseconds lease)
    : program_(program),
      marks_(std::move(marks)),
      flows_(program.flows(), KernelFlows::buckets_for(capacity)),
      capacity_(capacity),
      lease_(lease) {}

Result<void> TagTable::adopt() {
    auto settings = program_.settings().lookup(0);
    if (!settings) return std::move(settings).error();
    settings_ = *settings;
    if (settings_.catch_all_until != 0 && settings_.catch_all_until < monotonic_ns()) settings_.catch_all = {};
    extend_lease();
    catch_all_mark_ = settings_.catch_all;
    catch_all_ = tag_of(catch_all_mark_).value_or(flowd_tag{});
    auto visited = flows_.visit([this](const KernelFlows::Flow& flow) { adopted_.insert(flow.key); });
    if (!visited) return visited;
    size_ = static_cast<std::uint32_t>(adopted_.size());
    settings_.flows = size_ != 0 ? 1 : 0;
    settings_.epoch = size_ != 0 ? settings_.epoch % 0xffff + 1 : 0;
    write_settings();
    if (size_ == 0) flows_.unmap();
    return {};
}

void TagTable::leave(const flowd_key& key) {
    if (size_ == 0) return;
    const flow_key kernel_key = bpf::to_flow_key(key);
    const auto flow = flows_.find(kernel_key);
    if (!flow || !flow->has_value()) return;
    adopted_.insert(kernel_key);
    if (settings_.epoch != 0) return;
    settings_.epoch = 1;
    write_settings();
}

void TagTable::expire_adopted() {
    const std::vector<flow_key> all(adopted_.begin(), adopted_.end());
    for (const flow_key& key : all) {
        const auto flow = flows_.find(key);
        if (flow && flow->has_value() && (*flow)->seen == settings_.epoch) continue;
        erase(key);
    }
    settings_.epoch = adopted_.empty() ? 0 : settings_.epoch % 0xffff + 1;
    write_settings();
}

bool TagTable::is_markable(const flowd_key& key) {
    if (!marks_.takes_ipv4() && Address(key.source).is_v4() && Address(key.destination).is_v4()) {
        ++skipped_.ipv4;
    } else if (key.scope != 0) {
        ++skipped_.other_scope;
    } else {
        return true;
    }
    return false;
}

bool TagTable::is_as_catch_all(flowd_tag tag, std::uint32_t flags) const {
    // The tag in a flow's socket is that of a rule, which overrides a meter's tag but not an announced one. It also has
    // precedence over the catch-all.
    const bool may_give_way = settings_.socket_tags == 0 || (flags & FLOWD_METERED) != 0;
    return has_catch_all() && may_give_way && tag.experiment == catch_all_.experiment &&
           tag.activity == catch_all_.activity;
}

void TagTable::count_unmarkable(flowd_tag tag, marker_mark mark) {
    if (tag.experiment == 0 && tag.activity == 0)
        ++skipped_.no_valid_tag;
    else if (!marks_.carries(mark))
        ++skipped_.tag_out_of_range;
}

bool TagTable::put(const flowd_key& key, flowd_tag tag, std::uint32_t flags) {
    if (!is_markable(key)) return true;
    const flow_key kernel_key = bpf::to_flow_key(key);
    if (is_as_catch_all(tag, flags)) {
        relied_on_ = true;
        ++skipped_.as_catch_all;
        if (size_ != 0) erase(kernel_key);
        return true;
    }
    adopted_.erase(kernel_key);
    const marker_mark mark = marks_.of(tag, flow_hash(&kernel_key));
    count_unmarkable(tag, mark);
    if (size_ == capacity_) {
        const auto present = flows_.find(kernel_key);
        if (!present) return failed(present.error()), true;
        if (!present->has_value()) {
            ++skipped_.table_full;
            return false;
        }
    }
    const auto put = flows_.put({kernel_key, mark, 0, unix_seconds()});
    if (!put) return failed(put.error()), true;
    if (*put == KernelFlows::Put::no_room) {
        ++skipped_.table_full;
        return false;
    }
    if (*put == KernelFlows::Put::created && size_++ == 0) set_has_flows(true);
    return true;
}

std::optional<marker_mark> TagTable::entry_of(const flowd_key& key) {
    if (size_ == 0) return std::nullopt;
    const auto flow = flows_.find(bpf::to_flow_key(key));  // cannot fail: a table with flows is mapped
    return flow && flow->has_value() ? std::optional((*flow)->mark) : std::nullopt;
}

marker_mark TagTable::catch_all_of(const flowd_key& key) const {
    const flow_key kernel_key = bpf::to_flow_key(key);
    return marks_.of(catch_all_, flow_hash(&kernel_key));
}

void TagTable::remove(const flowd_key& key) {
    if (size_ != 0) erase(bpf::to_flow_key(key));  // the flow may be one that was not entered
}

void TagTable::erase(const flow_key& key) {
    adopted_.erase(key);
    const auto erased = flows_.erase(key);
    if (!erased) return failed(erased.error());
    if (!*erased || --size_ != 0) return;
    set_has_flows(false);
}

bool TagTable::set_catch_all(flowd_tag tag) {
    const marker_mark mark = marks_.of_catch_all(tag);
    if (!marks_.carries(mark)) {
        clear_catch_all();
        return false;
    }
    catch_all_ = tag;
    catch_all_mark_ = mark;
    relied_on_ = false;
    return true;
}

void TagTable::clear_catch_all() {
    catch_all_ = {};
    catch_all_mark_ = {};
    relied_on_ = false;
}

void TagTable::apply_catch_all() {
    settings_.catch_all = catch_all_mark_;
    extend_lease();
    write_settings();
}

void TagTable::renew_catch_all() {
    if (!has_catch_all()) return;
    extend_lease();
    write_settings();
}

void TagTable::extend_lease() {
    settings_.catch_all_until = lease_.count() == 0 ? 0 : monotonic_ns() + static_cast<std::uint64_t>(lease_.count());
}

void TagTable::set_observe(bool observe) {
    settings_.observe = observe ? 1 : 0;
    write_settings();
}

void TagTable::set_socket_tags(bool on) {
    settings_.socket_tags = on ? 1 : 0;
    write_settings();
}

void TagTable::set_has_flows(bool has) {
    settings_.flows = has ? 1 : 0;
    write_settings();
}

void TagTable::write_settings() {
    if (auto done = program_.settings().update(0, settings_); !done) failed(done.error());
}

void TagTable::failed(const Error& error) {
    ++skipped_.failed;
    last_error_ = error.message;
}

}  // namespace flowd::marker
