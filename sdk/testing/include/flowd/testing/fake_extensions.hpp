// SPDX-License-Identifier: Apache-2.0
// flowd/testing/fake_extensions.hpp: what the core's extensions answer in unit tests. Part of FakeHost; one thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flowd/abi/ext/descriptors.h"
#include "flowd/abi/ext/flows.h"
#include "flowd/abi/ext/metrics.h"
#include "flowd/abi/ext/registry.h"
#include "flowd/abi/ext/shared.h"
#include "flowd/abi/host.h"
#include "flowd/event.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::testing {

class FakeExtensions {
  public:
    void add_experiment(std::uint32_t id, std::string name) { experiments_[id] = std::move(name); }
    void add_activity(std::uint32_t experiment, std::uint32_t id, std::string name) {
        activities_[{experiment, id}] = std::move(name);
    }
    void add_flow(const flowd_flow& flow) { flows_.push_back(flow); }
    /// From now on no cursor is one that the core has given.
    void refuse_cursors() { refuses_cursors_ = true; }
    void offer_descriptor(const std::string& name, UniqueFd fd) { descriptors_[name] = std::move(fd); }
    [[nodiscard]] bool keeps(const std::string& name) const { return descriptors_.count(name) != 0; }
    [[nodiscard]] bool shares(const std::string& name) const { return offers_.count(name) != 0; }
    /// As another instance would: a later offer takes the place of an earlier one.
    void offer_shared(const std::string& name, int fd) { offers_[name] = {duplicate(fd), ++last_offer_}; }
    void withdraw_shared(const std::string& name) { offers_.erase(name); }
    /// A counter or gauge that AllMetrics will visit.
    void add_series(std::uint32_t type, std::string name, double value) {
        Series& series = series_.emplace_back();
        series.name = std::move(name);
        series.raw.size = sizeof(flowd_series);
        series.raw.type = type;
        series.raw.name = to_c(series.name);
        series.raw.value = value;
    }

  protected:
    FakeExtensions() {
        fill_registry();
        fill_flow_table();
        fill_descriptors();
        fill_shared();
        fill_metrics();
    }
    FakeExtensions(const FakeExtensions&) = delete;
    FakeExtensions& operator=(const FakeExtensions&) = delete;
    ~FakeExtensions() = default;

    /// The context of a fake's flowd_host is this part of it.
    static FakeExtensions& of(const flowd_host* host) { return *static_cast<FakeExtensions*>(host->context); }

    [[nodiscard]] const void* find_extension(std::string_view name) const {
        if (name == FLOWD_EXT_REGISTRY) return &registry_;
        if (name == FLOWD_EXT_FLOWS) return &flow_table_;
        if (name == FLOWD_EXT_DESCRIPTORS) return &descriptor_store_;
        if (name == FLOWD_EXT_SHARED) return &shared_;
        if (name == FLOWD_EXT_METRICS) return &all_metrics_;
        return nullptr;
    }

  private:
    static UniqueFd duplicate(int fd) {
        auto copy = UniqueFd::duplicate(fd);
        return copy ? std::move(*copy) : UniqueFd();
    }
    /// As the core compares names.
    static bool same_name(std::string_view a, std::string_view b) {
        const auto small = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
        return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return small(x) == small(y); });
    }

    struct Offer {
        UniqueFd fd;
        std::uint64_t generation = 0;
    };
    struct Series {
        std::string name;
        flowd_series raw{};
    };

    void fill_registry() {
        registry_.size = sizeof registry_;
        registry_.experiment_id = [](const flowd_host* host, flowd_string name, std::uint32_t* id) -> flowd_result {
            for (const auto& [number, known] : of(host).experiments_)
                if (same_name(known, to_view(name))) return *id = number, FLOWD_OK;
            return FLOWD_NOT_FOUND;
        };
        registry_.activity_id = [](const flowd_host* host, std::uint32_t experiment, flowd_string name,
                                   std::uint32_t* id) -> flowd_result {
            for (const auto& [key, known] : of(host).activities_)
                if (key.first == experiment && same_name(known, to_view(name))) return *id = key.second, FLOWD_OK;
            return FLOWD_NOT_FOUND;
        };
        registry_.experiment_name = [](const flowd_host* host, std::uint32_t id, flowd_string* name) -> flowd_result {
            const auto found = of(host).experiments_.find(id);
            *name = found == of(host).experiments_.end() ? flowd_string{} : to_c(found->second);
            return name->data == nullptr ? FLOWD_NOT_FOUND : FLOWD_OK;
        };
        registry_.activity_name = [](const flowd_host* host, std::uint32_t experiment, std::uint32_t id,
                                     flowd_string* name) -> flowd_result {
            const auto found = of(host).activities_.find({experiment, id});
            *name = found == of(host).activities_.end() ? flowd_string{} : to_c(found->second);
            return name->data == nullptr ? FLOWD_NOT_FOUND : FLOWD_OK;
        };
    }
    void fill_flow_table() {
        flow_table_.size = sizeof flow_table_;
        flow_table_.page = [](const flowd_host* host, const flowd_flow_filter*, std::uint64_t* cursor, std::size_t limit,
                              flowd_flow_visitor visitor, void* user) -> flowd_result {
            const auto& flows = of(host).flows_;
            if (of(host).refuses_cursors_ && *cursor != 0) return FLOWD_INVALID;
            std::size_t at = *cursor;
            for (bool more = true; more && at < flows.size() && limit > 0; --limit) more = visitor(user, &flows[at++]) == 0;
            *cursor = at < flows.size() ? at : 0;
            return FLOWD_OK;
        };
        flow_table_.find = [](const flowd_host* host, const flowd_key* key, flowd_flow_visitor visitor,
                              void* user) -> flowd_result {
            for (const flowd_flow& flow : of(host).flows_) {
                const bool there =
                    source_of(flow.key) == source_of(*key) && destination_of(flow.key) == destination_of(*key);
                const bool back =
                    source_of(flow.key) == destination_of(*key) && destination_of(flow.key) == source_of(*key);
                if ((!there && !back) || flow.key.protocol != key->protocol || flow.key.scope != key->scope ||
                    flow.key.zone != key->zone)
                    continue;
                visitor(user, &flow);
                return FLOWD_OK;
            }
            return FLOWD_NOT_FOUND;
        };
        flow_table_.count = [](const flowd_host* host) { return static_cast<std::uint64_t>(of(host).flows_.size()); };
    }
    void fill_descriptors() {
        descriptor_store_.size = sizeof descriptor_store_;
        descriptor_store_.take = [](const flowd_host* host, flowd_string name, int* fd) -> flowd_result {
            const auto found = of(host).descriptors_.find(std::string(to_view(name)));
            if (found == of(host).descriptors_.end()) return FLOWD_NOT_FOUND;
            *fd = duplicate(found->second.get()).release();
            return FLOWD_OK;
        };
        descriptor_store_.keep = [](const flowd_host* host, flowd_string name, int fd) -> flowd_result {
            of(host).descriptors_[std::string(to_view(name))] = duplicate(fd);
            return FLOWD_OK;
        };
        descriptor_store_.forget = [](const flowd_host* host, flowd_string name) {
            of(host).descriptors_.erase(std::string(to_view(name)));
        };
    }
    void fill_shared() {
        shared_.size = sizeof shared_;
        shared_.offer = [](const flowd_host* host, flowd_string name, int fd) -> flowd_result {
            of(host).offer_shared(std::string(to_view(name)), fd);
            return FLOWD_OK;
        };
        shared_.withdraw = [](const flowd_host* host, flowd_string name) {
            of(host).offers_.erase(std::string(to_view(name)));
        };
        shared_.obtain = [](const flowd_host* host, flowd_string name, int* fd, std::uint64_t* generation) -> flowd_result {
            const auto found = of(host).offers_.find(std::string(to_view(name)));
            if (found == of(host).offers_.end()) return FLOWD_NOT_FOUND;
            *fd = duplicate(found->second.fd.get()).release();
            if (generation != nullptr) *generation = found->second.generation;
            return FLOWD_OK;
        };
    }
    void fill_metrics() {
        all_metrics_.size = sizeof all_metrics_;
        all_metrics_.visit = [](const flowd_host* host, flowd_series_visitor visitor, void* user) -> flowd_result {
            for (const auto& series : of(host).series_)
                if (visitor(user, &series.raw) != 0) break;
            return FLOWD_OK;
        };
    }

    flowd_ext_registry registry_{};
    flowd_ext_flows flow_table_{};
    flowd_ext_descriptors descriptor_store_{};
    flowd_ext_shared shared_{};
    flowd_ext_metrics all_metrics_{};

    std::map<std::uint32_t, std::string> experiments_;
    std::map<std::pair<std::uint32_t, std::uint32_t>, std::string> activities_;
    std::vector<flowd_flow> flows_;
    bool refuses_cursors_ = false;
    std::map<std::string, UniqueFd> descriptors_;
    std::map<std::string, Offer> offers_;
    std::uint64_t last_offer_ = 0;
    std::deque<Series> series_;
};

}  // namespace flowd::testing
