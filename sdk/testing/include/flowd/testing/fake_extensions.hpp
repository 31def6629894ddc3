// SPDX-License-Identifier: Apache-2.0
// flowd/testing/fake_extensions.hpp: the core's extensions in unit tests. A part of FakeHost; one thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flowd/abi/ext/delivery.h"
#include "flowd/abi/ext/descriptors.h"
#include "flowd/abi/ext/events.h"
#include "flowd/abi/ext/flows.h"
#include "flowd/abi/ext/history.h"
#include "flowd/abi/ext/interfaces.h"
#include "flowd/abi/ext/metrics.h"
#include "flowd/abi/ext/registry.h"
#include "flowd/abi/ext/shared.h"
#include "flowd/abi/host.h"
#include "flowd/event.hpp"
#include "flowd/extensions.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::testing {

class FakeExtensions {
  public:
    void add_experiment(std::uint32_t id, std::string name) { experiments_[id] = std::move(name); }
    void add_activity(std::uint32_t experiment, std::uint32_t id, std::string name) {
        activities_[{experiment, id}] = std::move(name);
    }
    void add_flow(const flowd_flow& flow) { flows_.push_back(flow); }
    void remove_flows() { flows_.clear(); }
    /// Flows of flowd.history/1: the latest first, as they are added.
    void add_ended_flow(const flowd_flow& flow) { ended_.push_back(flow); }
    void add_minute(const flowd_minute& minute) { minutes_.push_back(minute); }
    /// The next event of flowd.events/1. Sets its sequence; without a flow it is a refusal. Texts are borrowed.
    void add_observed(flowd_observed observed, const flowd_flow* flow = nullptr) {
        if (flow != nullptr) observed.flow = &observed_flows_.emplace_back(*flow);
        observed.size = sizeof observed;
        observed.sequence = first_sequence + observed_.size();
        observed_.push_back(observed);
    }
    /// The oldest `count` events are replaced: readers that have not read them have lost them.
    void lose_observed(std::size_t count) { lost_ = std::min(lost_ + count, observed_.size()); }
    static constexpr std::uint64_t first_sequence = 1000;
    /// The filter of the last page that was asked for; no members: none. The fake does not apply filters.
    [[nodiscard]] const flowd_flow_filter& filter() const { return filter_; }
    /// From now on all cursors are refused.
    void refuse_cursors() { refuses_cursors_ = true; }
    /// Keeps a descriptor as systemd or a predecessor would: it remains after the instance's forget.
    void offer_descriptor(const std::string& name, UniqueFd fd) { offered_[name] = std::move(fd); }
    /// Another instance has it: take() answers FLOWD_BUSY once this instance has forgotten it.
    void occupy_descriptor(const std::string& name) { occupied_.insert(name); }
    /// No other holder keeps it any more.
    void withdraw_descriptor(const std::string& name) {
        offered_.erase(name);
        occupied_.erase(name);
    }
    [[nodiscard]] bool keeps(const std::string& name) const { return kept_.count(name) != 0; }
    [[nodiscard]] bool shares(const std::string& name) const { return offers_.count(name) != 0; }
    /// Offers a descriptor as another instance would: a later offer replaces an earlier one.
    void offer_shared(const std::string& name, int fd) {
        offers_[name] = {duplicate(fd), ++last_offer_};
        tell(FLOWD_EXT_SHARED + name);
    }
    void withdraw_shared(const std::string& name) {
        offers_.erase(name);
        tell(FLOWD_EXT_SHARED + name);
    }
    /// The list that the instance published.
    [[nodiscard]] const std::vector<Interfaces::Interface>& published_interfaces() const { return published_; }
    /// Sets the list of the other instances.
    void set_interfaces(std::vector<Interfaces::Interface> interfaces) {
        others_interfaces_ = std::move(interfaces);
        tell(FLOWD_EXT_INTERFACES);
    }
    /// A socket of the daemon.
    void add_socket(const flowd_socket& socket) { sockets_.push_back(socket); }
    void forget_sockets() { sockets_.clear(); }
    /// Number of outstanding marks.
    [[nodiscard]] std::size_t marks() const { return marks_.size(); }
    /// Calls back for the oldest `count` marks, as if every backend had taken the events before them.
    void pass_marks(std::size_t count = 1) {
        for (count = std::min(count, marks_.size()); count > 0; --count) {
            const auto [callback, user] = marks_.front();
            marks_.pop_front();
            callback(user);
        }
    }
    /// The result of mark from now on.
    void answer_marks(flowd_result answer) { mark_answer_ = answer; }
    /// Adds a counter or gauge that AllMetrics will visit.
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
        fill_history();
        fill_events();
        fill_descriptors();
        fill_shared();
        fill_metrics();
        fill_delivery();
        fill_interfaces();
    }
    FakeExtensions(const FakeExtensions&) = delete;
    FakeExtensions& operator=(const FakeExtensions&) = delete;
    ~FakeExtensions() = default;

    /// The context of a fake's flowd_host points to its FakeExtensions.
    static FakeExtensions& of(const flowd_host* host) { return *static_cast<FakeExtensions*>(host->context); }

    [[nodiscard]] const void* find_extension(std::string_view name) const {
        if (name == FLOWD_EXT_REGISTRY) return &registry_;
        if (name == FLOWD_EXT_FLOWS) return &flow_table_;
        if (name == FLOWD_EXT_HISTORY) return &history_;
        if (name == FLOWD_EXT_EVENTS) return &events_;
        if (name == FLOWD_EXT_DESCRIPTORS) return &descriptor_store_;
        if (name == FLOWD_EXT_SHARED) return &shared_;
        if (name == FLOWD_EXT_METRICS) return &all_metrics_;
        if (name == FLOWD_EXT_DELIVERY) return &delivery_;
        if (name == FLOWD_EXT_INTERFACES) return &interfaces_;
        return nullptr;
    }

    /// Runs a callback later on the instance's thread.
    std::function<void(std::function<void()>)> later_;

  private:
    struct Told {
        flowd_callback callback = nullptr;
        void* user = nullptr;
    };
    void tell(const std::string& what) {
        if (told_.count(what) == 0) return;
        later_([this, what] {
            const auto found = told_.find(what);  // the subscription may have ended meanwhile
            if (found != told_.end()) found->second.callback(found->second.user);
        });
    }
    flowd_result on_change(const std::string& what, flowd_callback callback, void* user, bool something) {
        told_.erase(what);
        if (callback == nullptr) return FLOWD_OK;
        told_[what] = {callback, user};
        if (something) tell(what);
        return FLOWD_OK;
    }

    static UniqueFd duplicate(int fd) {
        auto copy = UniqueFd::duplicate(fd);
        return copy ? std::move(*copy) : UniqueFd();
    }
    /// Compares names as the core does.
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
        flow_table_.page = [](const flowd_host* host, const flowd_flow_filter* filter, std::uint64_t* cursor,
                              std::size_t limit, flowd_flow_visitor visitor, void* user) -> flowd_result {
            const auto& flows = of(host).flows_;
            of(host).filter_ = filter == nullptr ? flowd_flow_filter{} : copy_sized<flowd_flow_filter>(filter);
            of(host).filter_announcer_ = to_view(of(host).filter_.announcer);
            of(host).filter_.announcer = to_c(of(host).filter_announcer_);
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
    void fill_history() {
        history_.size = sizeof history_;
        history_.page = [](const flowd_host* host, const flowd_flow_filter*, std::uint64_t* cursor, std::size_t limit,
                           flowd_flow_visitor visitor, void* user) -> flowd_result {
            const auto& flows = of(host).ended_;
            if (of(host).refuses_cursors_ && *cursor != 0) return FLOWD_INVALID;
            std::size_t at = *cursor;
            for (bool more = true; more && at < flows.size() && limit > 0; --limit) more = visitor(user, &flows[at++]) == 0;
            *cursor = at < flows.size() ? at : 0;
            return FLOWD_OK;
        };
        history_.count = [](const flowd_host* host) { return static_cast<std::uint64_t>(of(host).ended_.size()); };
        history_.minutes = [](const flowd_host* host, std::int64_t from_ns, flowd_minute_visitor visitor,
                              void* user) -> flowd_result {
            for (const flowd_minute& minute : of(host).minutes_)
                if (minute.time_ns >= from_ns && visitor(user, &minute) != 0) break;
            return FLOWD_OK;
        };
    }
    void fill_events() {
        events_.size = sizeof events_;
        events_.read = [](const flowd_host* host, std::uint64_t* position, std::size_t limit, std::uint64_t* lost,
                          flowd_observer observer, void* user) -> flowd_result {
            const FakeExtensions& self = of(host);
            const std::uint64_t oldest = first_sequence + self.lost_, next = first_sequence + self.observed_.size();
            if (*position != 0 && (*position < first_sequence || *position > next)) return FLOWD_INVALID;
            if (lost != nullptr) *lost = *position != 0 && *position < oldest ? oldest - *position : 0;
            *position = std::max(*position, oldest);
            for (bool more = true; more && *position < next && limit > 0; --limit)
                more = observer(user, &self.observed_[(*position)++ - first_sequence]) == 0;
            return FLOWD_OK;
        };
        events_.next = [](const flowd_host* host) { return first_sequence + of(host).observed_.size(); };
    }
    void fill_descriptors() {
        descriptor_store_.size = sizeof descriptor_store_;
        descriptor_store_.take = [](const flowd_host* host, flowd_string name, int* fd) -> flowd_result {
            const std::string wanted(to_view(name));
            if (of(host).kept_.count(wanted) == 0 && of(host).occupied_.count(wanted) != 0) return FLOWD_BUSY;
            for (const auto* held : {&of(host).kept_, &of(host).offered_}) {
                const auto found = held->find(wanted);
                if (found == held->end()) continue;
                *fd = duplicate(found->second.get()).release();
                return FLOWD_OK;
            }
            return FLOWD_NOT_FOUND;
        };
        descriptor_store_.keep = [](const flowd_host* host, flowd_string name, int fd) -> flowd_result {
            of(host).kept_[std::string(to_view(name))] = duplicate(fd);
            return FLOWD_OK;
        };
        descriptor_store_.forget = [](const flowd_host* host, flowd_string name) {
            of(host).kept_.erase(std::string(to_view(name)));
        };
        descriptor_store_.sockets = [](const flowd_host* host, std::int64_t, flowd_socket_visitor visitor,
                                       void* user) -> flowd_result {
            for (const flowd_socket& socket : of(host).sockets_)
                if (visitor(user, &socket) != 0) break;
            return FLOWD_OK;
        };
    }
    void fill_shared() {
        shared_.size = sizeof shared_;
        shared_.offer = [](const flowd_host* host, flowd_string name, int fd) -> flowd_result {
            of(host).offer_shared(std::string(to_view(name)), fd);
            return FLOWD_OK;
        };
        shared_.withdraw = [](const flowd_host* host, flowd_string name) {
            of(host).withdraw_shared(std::string(to_view(name)));
        };
        shared_.on_change = [](const flowd_host* host, flowd_string name, flowd_callback callback, void* user) {
            const std::string key(to_view(name));
            return of(host).on_change(FLOWD_EXT_SHARED + key, callback, user, of(host).offers_.count(key) != 0);
        };
        shared_.obtain = [](const flowd_host* host, flowd_string name, int* fd, std::uint64_t* generation) -> flowd_result {
            const auto found = of(host).offers_.find(std::string(to_view(name)));
            if (found == of(host).offers_.end()) return FLOWD_NOT_FOUND;
            *fd = duplicate(found->second.fd.get()).release();
            if (generation != nullptr) *generation = found->second.generation;
            return FLOWD_OK;
        };
    }
    void fill_interfaces() {
        interfaces_.size = sizeof interfaces_;
        interfaces_.publish = [](const flowd_host* host, const flowd_interface* interfaces, std::size_t count,
                                 std::size_t stride) -> flowd_result {
            of(host).published_.clear();
            for (const flowd_interface& one : SizedRange<flowd_interface>(interfaces, count, stride))
                of(host).published_.push_back(
                    {one.use, one.index, std::string(to_view(one.name)), std::string(to_view(one.why)), {}, one.marks});
            return FLOWD_OK;
        };
        interfaces_.visit = [](const flowd_host* host, flowd_interface_visitor visitor, void* user) -> flowd_result {
            for (const auto* list : {&of(host).published_, &of(host).others_interfaces_})
                for (const auto& one : *list) {
                    const flowd_interface shown{sizeof shown,   one.use,       one.index,         one.marks,
                                                to_c(one.name), to_c(one.why), to_c(one.instance)};
                    if (visitor(user, &shown) != 0) return FLOWD_OK;
                }
            return FLOWD_OK;
        };
        interfaces_.on_change = [](const flowd_host* host, flowd_callback callback, void* user) {
            return of(host).on_change(FLOWD_EXT_INTERFACES, callback, user, !of(host).others_interfaces_.empty());
        };
    }
    void fill_delivery() {
        delivery_.size = sizeof delivery_;
        delivery_.mark = [](const flowd_host* host, flowd_callback callback, void* user) -> flowd_result {
            if (of(host).mark_answer_ == FLOWD_OK) of(host).marks_.emplace_back(callback, user);
            return of(host).mark_answer_;
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
    flowd_ext_history history_{};
    flowd_ext_events events_{};
    flowd_ext_descriptors descriptor_store_{};
    flowd_ext_shared shared_{};
    flowd_ext_metrics all_metrics_{};
    flowd_ext_delivery delivery_{};
    std::deque<std::pair<flowd_callback, void*>> marks_;
    flowd_result mark_answer_ = FLOWD_OK;
    flowd_ext_interfaces interfaces_{};

    std::map<std::uint32_t, std::string> experiments_;
    std::map<std::pair<std::uint32_t, std::uint32_t>, std::string> activities_;
    std::vector<flowd_flow> flows_;
    std::vector<flowd_flow> ended_;
    std::vector<flowd_minute> minutes_;
    std::deque<flowd_flow> observed_flows_;
    std::vector<flowd_observed> observed_;
    std::size_t lost_ = 0;
    bool refuses_cursors_ = false;
    flowd_flow_filter filter_{};
    std::string filter_announcer_;
    std::map<std::string, UniqueFd> offered_, kept_;
    std::set<std::string> occupied_;
    std::map<std::string, Offer> offers_;
    std::uint64_t last_offer_ = 0;
    std::deque<Series> series_;
    std::map<std::string, Told> told_;
    std::vector<Interfaces::Interface> published_, others_interfaces_;
    std::vector<flowd_socket> sockets_;
};

}  // namespace flowd::testing
