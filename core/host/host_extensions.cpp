// SPDX-License-Identifier: Apache-2.0
#include "core/host/host_extensions.hpp"

#include <string_view>
#include <vector>

#include "core/base/guarded.hpp"
#include "core/flows/minutes.hpp"
#include "core/host/host.hpp"
#include "flowd/abi/ext/acknowledge.h"
#include "flowd/abi/ext/daemon.h"
#include "flowd/abi/ext/delivery.h"
#include "flowd/abi/ext/descriptors.h"
#include "flowd/abi/ext/events.h"
#include "flowd/abi/ext/flows.h"
#include "flowd/abi/ext/history.h"
#include "flowd/abi/ext/interfaces.h"
#include "flowd/abi/ext/metrics.h"
#include "flowd/abi/ext/registry.h"
#include "flowd/abi/ext/shared.h"
#include "flowd/sized.hpp"

namespace flowd::core {

namespace {

constexpr std::size_t max_words_of_request = 256;  // of a request
constexpr std::size_t max_interface_text = 128;    // bytes of a name, and of the reason for its choice

}  // namespace

/// The functions of the tables. A friend of Host, for access to its services.
struct HostExtensions {
    static Services& services(const flowd_host* host) { return Host::of(host).services_; }

    static flowd_result experiment_id(const flowd_host* host, flowd_string name, uint32_t* id) {
        const auto found = services(host).registries.current().experiment_id(to_view(name));
        if (!found || id == nullptr) return FLOWD_NOT_FOUND;
        *id = *found;
        return FLOWD_OK;
    }
    static flowd_result activity_id(const flowd_host* host, uint32_t experiment, flowd_string name, uint32_t* id) {
        const auto found = services(host).registries.current().activity_id(experiment, to_view(name));
        if (!found || id == nullptr) return FLOWD_NOT_FOUND;
        *id = *found;
        return FLOWD_OK;
    }
    static flowd_result answer_name(std::string_view found, flowd_string* name) {
        if (name != nullptr) *name = to_c(found);
        return found.empty() ? FLOWD_NOT_FOUND : FLOWD_OK;
    }
    static flowd_result experiment_name(const flowd_host* host, uint32_t id, flowd_string* name) {
        return answer_name(services(host).registries.current().experiment_name(id), name);
    }
    static flowd_result activity_name(const flowd_host* host, uint32_t experiment, uint32_t id, flowd_string* name) {
        return answer_name(services(host).registries.current().activity_name(experiment, id), name);
    }

    static flowd_result page(const flowd_host* host, const flowd_flow_filter* filter, uint64_t* cursor, size_t limit,
                             flowd_flow_visitor visitor, void* user) {
        if (cursor == nullptr || visitor == nullptr) return FLOWD_INVALID;
        return guarded([&]() -> flowd_result {
            const auto wanted = copy_sized<flowd_flow_filter>(filter);
            return services(host).bus.page(filter == nullptr ? nullptr : &wanted, *cursor, limit,
                                           [&](const flowd_flow& flow) { return visitor(user, &flow) == 0; });
        });
    }
    static flowd_result find(const flowd_host* host, const flowd_key* key, flowd_flow_visitor visitor, void* user) {
        if (key == nullptr || visitor == nullptr) return FLOWD_INVALID;
        return guarded([&]() -> flowd_result {
            const bool found = services(host).bus.find(*key, [&](const flowd_flow& flow) { (void)visitor(user, &flow); });
            return found ? FLOWD_OK : FLOWD_NOT_FOUND;
        });
    }
    static uint64_t count(const flowd_host* host) { return services(host).bus.count(); }

    static flowd_result page_ended(const flowd_host* host, const flowd_flow_filter* filter, uint64_t* cursor, size_t limit,
                                   flowd_flow_visitor visitor, void* user) {
        if (cursor == nullptr || visitor == nullptr) return FLOWD_INVALID;
        return guarded([&]() -> flowd_result {
            const auto wanted = copy_sized<flowd_flow_filter>(filter);
            return services(host).bus.page_ended(filter == nullptr ? nullptr : &wanted, *cursor, limit,
                                                 [&](const flowd_flow& flow) { return visitor(user, &flow) == 0; });
        });
    }
    static uint64_t count_ended(const flowd_host* host) { return services(host).bus.count_ended(); }
    static flowd_result minutes(const flowd_host* host, int64_t from_ns, flowd_minute_visitor visitor, void* user) {
        constexpr std::int64_t minute_ns = 60 * second_ns;
        if (visitor == nullptr || from_ns < 0) return FLOWD_INVALID;
        return guarded([&]() -> flowd_result {
            services(host).bus.minutes().visit((from_ns + minute_ns - 1) / minute_ns,
                                               [&](std::int64_t minute, const MinuteSum& sum) {
                                                   flowd_minute shown{};
                                                   shown.size = sizeof shown;
                                                   shown.local = sum.local;
                                                   shown.time_ns = minute * minute_ns;
                                                   shown.tag = sum.tag;
                                                   shown.started = sum.started;
                                                   shown.ended = sum.ended;
                                                   shown.bytes_sent = sum.bytes_sent;
                                                   shown.bytes_received = sum.bytes_received;
                                                   return visitor(user, &shown) == 0;
                                               });
            return FLOWD_OK;
        });
    }

    static flowd_result read_events(const flowd_host* host, uint64_t* position, size_t limit, uint64_t* lost,
                                    flowd_observer observer, void* user) {
        if (position == nullptr || observer == nullptr) return FLOWD_INVALID;
        return guarded([&]() -> flowd_result {
            std::uint64_t missed = 0;
            const flowd_result result = services(host).bus.read_events(
                *position, limit, missed, [&](const flowd_observed& observed) { return observer(user, &observed) == 0; });
            if (lost != nullptr) *lost = missed;
            return result;
        });
    }
    static uint64_t next_event(const flowd_host* host) { return services(host).bus.next_event(); }

    static flowd_result acknowledge(const flowd_host* host, uint64_t settled) {
        return Host::of(host).acknowledge(settled);
    }
    static flowd_result mark(const flowd_host* host, flowd_callback callback, void* user) {
        return guarded([&] { return Host::of(host).mark(callback, user); });
    }

    static flowd_result request(const flowd_host* host, const flowd_string* words, size_t count, flowd_answered answered,
                                void* user) {
        if (answered == nullptr || words == nullptr || count == 0 || count > max_words_of_request) return FLOWD_INVALID;
        return guarded([&] {
            std::vector<std::string> copies;
            for (std::size_t i = 0; i < count; ++i) copies.emplace_back(to_view(words[i]));
            return Host::of(host).request(std::move(copies), answered, user);
        });
    }

    static flowd_result take(const flowd_host* host, flowd_string name, int* fd) {
        if (fd == nullptr || !Host::of(host).on_thread("take")) return FLOWD_INVALID;
        return guarded([&]() -> flowd_result {
            auto taken = services(host).descriptors.take(Host::of(host).id(), to_view(name));
            if (!taken) return taken.error().code;
            *fd = taken->release();
            return FLOWD_OK;
        });
    }
    static flowd_result keep(const flowd_host* host, flowd_string name, int fd) {
        if (!Host::of(host).on_thread("keep")) return FLOWD_INVALID;
        return guarded(
            [&] { return said(host, "keep", services(host).descriptors.keep(Host::of(host).id(), to_view(name), fd)); });
    }
    static void forget(const flowd_host* host, flowd_string name) {
        if (!Host::of(host).on_thread("forget")) return;
        guarded([&] { services(host).descriptors.forget(Host::of(host).id(), to_view(name)); });
    }

    static flowd_result offer(const flowd_host* host, flowd_string name, int fd) {
        if (!Host::of(host).on_thread("offer")) return FLOWD_INVALID;
        return guarded(
            [&] { return said(host, "offer", services(host).shared.offer(Host::of(host).id(), to_view(name), fd)); });
    }
    static void withdraw(const flowd_host* host, flowd_string name) {
        if (!Host::of(host).on_thread("withdraw")) return;
        guarded([&] { services(host).shared.withdraw(Host::of(host).id(), to_view(name)); });
    }
    static flowd_result obtain(const flowd_host* host, flowd_string name, int* fd, uint64_t* generation) {
        if (fd == nullptr) return FLOWD_INVALID;
        return guarded([&]() -> flowd_result {
            auto obtained = services(host).shared.obtain(to_view(name));
            if (!obtained) return obtained.error().code;
            *fd = obtained->fd.release();
            if (generation != nullptr) *generation = obtained->generation;
            return FLOWD_OK;
        });
    }
    static flowd_result shared_on_change(const flowd_host* host, flowd_string name, flowd_callback callback, void* user) {
        Host& self = Host::of(host);
        const std::string key(to_view(name));
        if (key.empty() || key.size() > 200 || !self.on_thread("on_change")) return FLOWD_INVALID;
        return guarded([&] {
            return self.on_change(FLOWD_EXT_SHARED + key, callback, user, [&](Watchers::Tell tell) {
                services(host).shared.watch(self.id(), key, std::move(tell));
            });
        });
    }

    static flowd_result sockets(const flowd_host* host, int64_t max_age_ns, flowd_socket_visitor visitor, void* user) {
        if (visitor == nullptr || max_age_ns < 0) return FLOWD_INVALID;
        return guarded([&]() -> flowd_result {
            const auto all = services(host).sockets.list(std::chrono::nanoseconds(max_age_ns));
            for (const flowd_socket& socket : *all)
                if (visitor(user, &socket) != 0) break;
            return FLOWD_OK;
        });
    }

    static flowd_result publish_interfaces(const flowd_host* host, const flowd_interface* interfaces, size_t count,
                                           size_t stride) {
        Host& self = Host::of(host);
        if (!self.on_thread("publish")) return FLOWD_INVALID;
        if (count > Interfaces::max_published) return FLOWD_LIMIT;
        if (count > 0 && (interfaces == nullptr || stride < sizeof(std::uint32_t))) return FLOWD_INVALID;
        return guarded([&]() -> flowd_result {
            std::vector<Interfaces::Interface> published;
            for (const flowd_interface& one : SizedRange<flowd_interface>(interfaces, count, stride)) {
                const std::string_view name = to_view(one.name), why = to_view(one.why);
                if (one.size > stride || name.empty() || name.size() > max_interface_text ||
                    why.size() > max_interface_text)
                    return FLOWD_INVALID;
                published.push_back({one.use, one.index, std::string(name), std::string(why), {}, one.marks});
            }
            services(host).interfaces.publish(self.id(), self.label_, std::move(published));
            return FLOWD_OK;
        });
    }
    static flowd_result visit_interfaces(const flowd_host* host, flowd_interface_visitor visitor, void* user) {
        if (visitor == nullptr) return FLOWD_INVALID;
        return guarded([&]() -> flowd_result {
            for (const auto& one : services(host).interfaces.list()) {
                const flowd_interface shown{sizeof shown,   one.use,       one.index,         one.marks,
                                            to_c(one.name), to_c(one.why), to_c(one.instance)};
                if (visitor(user, &shown) != 0) break;
            }
            return FLOWD_OK;
        });
    }
    static flowd_result interfaces_on_change(const flowd_host* host, flowd_callback callback, void* user) {
        Host& self = Host::of(host);
        if (!self.on_thread("on_change")) return FLOWD_INVALID;
        return guarded([&] {
            return self.on_change(FLOWD_EXT_INTERFACES, callback, user, [&](Watchers::Tell tell) {
                services(host).interfaces.watch(self.id(), std::move(tell));
            });
        });
    }

    static flowd_result said(const flowd_host* host, const char* call, const Result<void>& done) {
        if (done) return FLOWD_OK;
        Host::of(host).logger().error("{}: {}", call, done.error().message);
        return done.error().code;
    }

    static flowd_result visit_metrics(const flowd_host* host, flowd_series_visitor visitor, void* user) {
        if (visitor == nullptr) return FLOWD_INVALID;
        return guarded([&]() -> flowd_result {
            for (const MetricSample& sample : services(host).metrics.snapshot())
                if (show(sample, visitor, user) != 0) break;
            return FLOWD_OK;
        });
    }
    static std::int32_t show(const MetricSample& sample, flowd_series_visitor visitor, void* user) {
        std::vector<flowd_label> labels;
        for (const auto& [name, value] : sample.labels) labels.push_back({sizeof(flowd_label), 0, to_c(name), to_c(value)});
        flowd_series series{};
        series.size = sizeof series;
        series.type = static_cast<std::uint32_t>(sample.type);
        series.name = to_c(sample.name);
        series.help = to_c(sample.help);
        series.unit = to_c(sample.unit);
        series.labels = labels.data();
        series.label_count = labels.size();
        series.label_stride = sizeof(flowd_label);
        series.value = sample.value;
        series.bounds = sample.bounds.data();
        series.buckets = sample.buckets.data();
        series.bound_count = sample.bounds.size();
        return visitor(user, &series);
    }
};

const void* core_extension(const char* id) {
    using E = HostExtensions;
    static constexpr flowd_ext_registry registry{
        sizeof(flowd_ext_registry), 0, &E::experiment_id, &E::activity_id, &E::experiment_name, &E::activity_name};
    static constexpr flowd_ext_flows flows{sizeof(flowd_ext_flows), 0, &E::page, &E::find, &E::count};
    static constexpr flowd_ext_history history{sizeof(flowd_ext_history), 0, &E::page_ended, &E::count_ended, &E::minutes};
    static constexpr flowd_ext_events events{sizeof(flowd_ext_events), 0, &E::read_events, &E::next_event};
    static constexpr flowd_ext_descriptors descriptors{
        sizeof(flowd_ext_descriptors), 0, &E::take, &E::keep, &E::forget, &E::sockets};
    static constexpr flowd_ext_shared shared{sizeof(flowd_ext_shared), 0, &E::offer, &E::withdraw, &E::obtain,
                                             &E::shared_on_change};
    static constexpr flowd_ext_interfaces interfaces{sizeof(flowd_ext_interfaces), 0, &E::publish_interfaces,
                                                     &E::visit_interfaces, &E::interfaces_on_change};
    static constexpr flowd_ext_delivery delivery{sizeof(flowd_ext_delivery), 0, &E::mark};
    static constexpr flowd_ext_acknowledge acknowledge{sizeof(flowd_ext_acknowledge), 0, &E::acknowledge};
    static constexpr flowd_ext_daemon daemon{sizeof(flowd_ext_daemon), 0, nullptr, &E::request};
    static constexpr flowd_ext_metrics metrics{sizeof(flowd_ext_metrics), 0, &E::visit_metrics};

    const std::string_view wanted = id == nullptr ? std::string_view{} : std::string_view(id);
    if (wanted == FLOWD_EXT_REGISTRY) return &registry;
    if (wanted == FLOWD_EXT_FLOWS) return &flows;
    if (wanted == FLOWD_EXT_HISTORY) return &history;
    if (wanted == FLOWD_EXT_EVENTS) return &events;
    if (wanted == FLOWD_EXT_DESCRIPTORS) return &descriptors;
    if (wanted == FLOWD_EXT_SHARED) return &shared;
    if (wanted == FLOWD_EXT_INTERFACES) return &interfaces;
    if (wanted == FLOWD_EXT_DELIVERY) return &delivery;
    if (wanted == FLOWD_EXT_ACKNOWLEDGE) return &acknowledge;
    if (wanted == FLOWD_EXT_METRICS) return &metrics;
    if (wanted == FLOWD_EXT_DAEMON) return &daemon;
    return nullptr;
}

}  // namespace flowd::core
