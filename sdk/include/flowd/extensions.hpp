// SPDX-License-Identifier: Apache-2.0
// flowd/extensions.hpp: the core's extensions (flowd/abi/ext), in C++. Obtain them from Host. Each states how it behaves
// if the core does not offer it. [any] and [instance] as in flowd/abi/base.h; without a tag a call is [instance].
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
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
#include "flowd/detail/guarded.hpp"
#include "flowd/event.hpp"
#include "flowd/result.hpp"
#include "flowd/sized.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd {

namespace detail {

/// Passes a visitor through the C interface. An exception of the visitor ends the visit and is rethrown by finish().
template <typename Thing, typename Visitor>
struct Visit {
    Visitor& visitor;
    std::exception_ptr thrown = {};

    static std::int32_t step(void* user, const Thing* thing) {
        auto& self = *static_cast<Visit*>(user);
        try {
            const Thing copy = copy_sized<Thing>(thing);
            if constexpr (std::is_convertible_v<decltype(self.visitor(copy)), bool>) {
                return self.visitor(copy) ? 0 : 1;
            } else {
                self.visitor(copy);
                return 0;
            }
        } catch (...) {
            self.thrown = std::current_exception();
            return 1;
        }
    }
    Result<void> finish(flowd_result result, const char* failed) {
        if (thrown) std::rethrow_exception(thrown);
        if (result < 0) return Error{result, failed};
        return {};
    }
};

}  // namespace detail

/// Calls back after changes until it is destroyed. Movable; may be destroyed in its own callback.
class Subscription {
  public:
    Subscription() = default;
    Subscription(Subscription&&) = default;
    Subscription& operator=(Subscription&& other) noexcept {
        if (this != &other) {
            reset();
            state_ = std::move(other.state_);
        }
        return *this;
    }
    ~Subscription() { reset(); }

    explicit operator bool() const { return state_ != nullptr; }
    void reset() {
        if (state_ == nullptr) return;
        (void)state_->ask(nullptr, nullptr);
        state_.reset();
    }

  private:
    friend class Shared;
    friend class Interfaces;
    using Ask = std::function<flowd_result(flowd_callback, void*)>;
    struct State : std::enable_shared_from_this<State> {
        const flowd_host* host = nullptr;
        std::function<void()> callback;
        Ask ask;
    };

    static Result<Subscription> make(const flowd_host* host, std::function<void()> callback, Ask ask) {
        Subscription made;
        made.state_ = std::make_shared<State>();
        made.state_->host = host;
        made.state_->callback = std::move(callback);
        made.state_->ask = std::move(ask);
        const flowd_result result = made.state_->ask(&call, made.state_.get());
        if (result == FLOWD_OK) return made;
        made.state_.reset();
        return Error{result, "the core does not tell of changes"};
    }
    static void call(void* user) {
        const auto state = static_cast<State*>(user)->shared_from_this();  // the callback may destroy its Subscription
        detail::guarded(state->host, "a callback for changes", [&] { state->callback(); });
    }

    std::shared_ptr<State> state_;
};

/// Experiment and activity names. [any] Without the extension all names are unknown.
class Registry {
  public:
    Registry() = default;
    Registry(const flowd_host* host, const void* extension)
        : host_(host), ext_(copy_sized<flowd_ext_registry>(extension)) {}
    explicit operator bool() const { return ext_.size != 0; }

    [[nodiscard]] std::optional<std::uint32_t> experiment_id(std::string_view name) const {
        std::uint32_t id = 0;
        if (ext_.experiment_id == nullptr || ext_.experiment_id(host_, to_c(name), &id) != FLOWD_OK) return std::nullopt;
        return id;
    }
    [[nodiscard]] std::optional<std::uint32_t> activity_id(std::uint32_t experiment, std::string_view name) const {
        std::uint32_t id = 0;
        if (ext_.activity_id == nullptr || ext_.activity_id(host_, experiment, to_c(name), &id) != FLOWD_OK)
            return std::nullopt;
        return id;
    }
    /// Empty if unknown. Valid as long as the host.
    [[nodiscard]] std::string_view experiment_name(std::uint32_t id) const {
        flowd_string name{};
        if (ext_.experiment_name == nullptr || ext_.experiment_name(host_, id, &name) != FLOWD_OK) return {};
        return to_view(name);
    }
    [[nodiscard]] std::string_view activity_name(std::uint32_t experiment, std::uint32_t id) const {
        flowd_string name{};
        if (ext_.activity_name == nullptr || ext_.activity_name(host_, experiment, id, &name) != FLOWD_OK) return {};
        return to_view(name);
    }

  private:
    const flowd_host* host_ = nullptr;
    flowd_ext_registry ext_{};
};

/// The flow table. [any] Without the extension it is empty.
class LiveFlows {
  public:
    LiveFlows() = default;
    LiveFlows(const flowd_host* host, const void* extension) : host_(host), ext_(copy_sized<flowd_ext_flows>(extension)) {}
    explicit operator bool() const { return ext_.size != 0; }

    /// Calls visitor(const flowd_flow&) for at most `limit` matching live flows from `cursor` on (0 begins), and advances
    /// the cursor; it is 0 again after the last. A call may visit fewer, even none, before that: call again. A visitor that
    /// returns bool ends the call with false. Its exceptions propagate. It must not emit.
    template <typename Visitor>
    Result<void> page(const flowd_flow_filter* filter, std::uint64_t& cursor, std::size_t limit, Visitor&& visitor) const {
        if (ext_.page == nullptr) return Error{FLOWD_UNSUPPORTED, "the core does not offer flowd.flows/1"};
        detail::Visit<flowd_flow, Visitor> visit{visitor};
        return visit.finish(ext_.page(host_, filter, &cursor, limit, &visit.step, &visit), unvisited);
    }
    /// Visits all matching live flows.
    template <typename Visitor>
    Result<void> visit(Visitor&& visitor, const flowd_flow_filter* filter = nullptr) const {
        if (ext_.page == nullptr) return {};
        bool more = true;
        std::uint64_t cursor = 0;
        const auto watched = [&](const flowd_flow& flow) {
            if constexpr (std::is_convertible_v<decltype(visitor(flow)), bool>)
                return more = visitor(flow);
            else
                return visitor(flow), true;
        };
        do {
            if (auto done = page(filter, cursor, all, watched); !done) return done;
        } while (more && cursor != 0);
        return {};
    }
    /// Visits the live flow of a tuple, in either direction. False if there is none.
    template <typename Visitor>
    Result<bool> find(const flowd_key& key, Visitor&& visitor) const {
        if (ext_.find == nullptr) return false;
        detail::Visit<flowd_flow, Visitor> visit{visitor};
        const flowd_result result = ext_.find(host_, &key, &visit.step, &visit);
        if (result == FLOWD_NOT_FOUND) return false;
        if (auto done = visit.finish(result, unvisited); !done) return std::move(done).error();
        return true;
    }
    [[nodiscard]] std::uint64_t count() const { return ext_.count == nullptr ? 0 : ext_.count(host_); }

  private:
    static constexpr const char* unvisited = "the flow table could not be visited";
    static constexpr std::size_t all = static_cast<std::size_t>(-1);

    const flowd_host* host_ = nullptr;
    flowd_ext_flows ext_{};
};

/// Ended flows, and sums per minute. [any] Without the extension there are none.
class History {
  public:
    History() = default;
    History(const flowd_host* host, const void* extension) : host_(host), ext_(copy_sized<flowd_ext_history>(extension)) {}
    explicit operator bool() const { return ext_.size != 0; }

    /// As LiveFlows::page, the latest first.
    template <typename Visitor>
    Result<void> page(const flowd_flow_filter* filter, std::uint64_t& cursor, std::size_t limit, Visitor&& visitor) const {
        if (ext_.page == nullptr) return Error{FLOWD_UNSUPPORTED, "the core does not offer flowd.history/1"};
        detail::Visit<flowd_flow, Visitor> visit{visitor};
        return visit.finish(ext_.page(host_, filter, &cursor, limit, &visit.step, &visit),
                            "the ended flows could not be visited");
    }
    [[nodiscard]] std::uint64_t count() const { return ext_.count == nullptr ? 0 : ext_.count(host_); }
    /// Calls visitor(const flowd_minute&) for the minutes from `from_ns` on, Unix time, the oldest first. Results and
    /// exceptions as LiveFlows::page.
    template <typename Visitor>
    Result<void> minutes(std::int64_t from_ns, Visitor&& visitor) const {
        if (ext_.minutes == nullptr) return Error{FLOWD_UNSUPPORTED, "the core does not offer flowd.history/1"};
        detail::Visit<flowd_minute, Visitor> visit{visitor};
        return visit.finish(ext_.minutes(host_, from_ns, &visit.step, &visit), "the minutes could not be visited");
    }

  private:
    const flowd_host* host_ = nullptr;
    flowd_ext_history ext_{};
};

/// What happens to flows, as a stream that each reader follows at its own pace. [any] Without the extension it is empty.
class FlowEvents {
  public:
    FlowEvents() = default;
    FlowEvents(const flowd_host* host, const void* extension)
        : host_(host), ext_(copy_sized<flowd_ext_events>(extension)) {}
    explicit operator bool() const { return ext_.size != 0; }

    /// Calls visitor(const flowd_observed&) for at most `limit` events from `position` on (0: from the oldest), and
    /// advances the position. Returns how many events were replaced before they could be read. Exceptions as
    /// LiveFlows::page.
    template <typename Visitor>
    Result<std::uint64_t> read(std::uint64_t& position, std::size_t limit, Visitor&& visitor) const {
        if (ext_.read == nullptr) return Error{FLOWD_UNSUPPORTED, "the core does not offer flowd.events/1"};
        std::uint64_t lost = 0;
        detail::Visit<flowd_observed, Visitor> visit{visitor};
        auto done =
            visit.finish(ext_.read(host_, &position, limit, &lost, &visit.step, &visit), "the events could not be read");
        if (!done) return std::move(done).error();
        return lost;
    }
    /// The position after the latest event.
    [[nodiscard]] std::uint64_t next() const { return ext_.next == nullptr ? 0 : ext_.next(host_); }

  private:
    const flowd_host* host_ = nullptr;
    flowd_ext_events ext_{};
};

/// Descriptors that outlive an instance; names as in flowd/abi/ext/descriptors.h. Without the extension there are none.
class Descriptors {
  public:
    Descriptors() = default;
    Descriptors(const flowd_host* host, const void* extension)
        : host_(host), ext_(copy_sized<flowd_ext_descriptors>(extension)) {}
    explicit operator bool() const { return ext_.size != 0; }

    /// In prepare(). Empty if none is kept: create it.
    [[nodiscard]] UniqueFd take(std::string_view name) const {
        int fd = -1;
        if (ext_.take == nullptr || ext_.take(host_, to_c(name), &fd) != FLOWD_OK) return {};
        return UniqueFd(fd);
    }
    /// Whether one is kept: after forget() in stop(), by a successor; or by systemd, which passed it.
    [[nodiscard]] bool held(std::string_view name) const {
        int fd = -1;
        if (ext_.take == nullptr) return false;
        const flowd_result result = ext_.take(host_, to_c(name), &fd);
        const UniqueFd duplicate(fd);
        return result == FLOWD_OK || result == FLOWD_BUSY;
    }
    /// Keeps a duplicate for a successor.
    Result<void> keep(std::string_view name, int fd) const {
        if (ext_.keep == nullptr) return {};
        const flowd_result result = ext_.keep(host_, to_c(name), fd);
        if (result < 0) return Error{result, "the core does not keep the descriptor '" + std::string(name) + "'"};
        return {};
    }
    void forget(std::string_view name) const {
        if (ext_.forget != nullptr) ext_.forget(host_, to_c(name));
    }
    /// [any] Calls visitor(const flowd_socket&) for each IPv4 and IPv6 socket of this process, whichever part opened it, as
    /// they were at most `max_age` ago. Results and exceptions as LiveFlows::page.
    template <typename Visitor>
    Result<void> sockets(std::chrono::nanoseconds max_age, Visitor&& visitor) const {
        if (ext_.sockets == nullptr) return Error{FLOWD_UNSUPPORTED, "the core does not tell its sockets"};
        detail::Visit<flowd_socket, Visitor> visit{visitor};
        return visit.finish(ext_.sockets(host_, max_age.count(), &visit.step, &visit), "the sockets could not be visited");
    }

  private:
    const flowd_host* host_ = nullptr;
    flowd_ext_descriptors ext_{};
};

/// Descriptors of other modules; names as in flowd/abi/ext/shared.h. Without the extension none is offered.
class Shared {
  public:
    struct Obtained {
        UniqueFd fd;
        std::uint64_t generation = 0;  ///< differs for each offer
    };

    Shared() = default;
    Shared(const flowd_host* host, const void* extension) : host_(host), ext_(copy_sized<flowd_ext_shared>(extension)) {}
    explicit operator bool() const { return ext_.size != 0; }

    /// Offers a duplicate until withdraw, or for the life of the instance.
    Result<void> offer(std::string_view name, int fd) const {
        if (ext_.offer == nullptr) return {};
        const flowd_result result = ext_.offer(host_, to_c(name), fd);
        if (result < 0) return Error{result, "the core does not share the descriptor '" + std::string(name) + "'"};
        return {};
    }
    void withdraw(std::string_view name) const {
        if (ext_.withdraw != nullptr) ext_.withdraw(host_, to_c(name));
    }
    /// [any] Empty if no instance offers it now.
    [[nodiscard]] std::optional<Obtained> obtain(std::string_view name) const {
        int fd = -1;
        std::uint64_t generation = 0;
        if (ext_.obtain == nullptr || ext_.obtain(host_, to_c(name), &fd, &generation) != FLOWD_OK) return std::nullopt;
        return Obtained{UniqueFd(fd), generation};
    }
    /// Calls back after changes of the offers of `name`, and once if it is offered already. Must not outlive the
    /// component.
    [[nodiscard]] Result<Subscription> on_change(std::string_view name, std::function<void()> callback) const {
        if (ext_.on_change == nullptr) return Error{FLOWD_UNSUPPORTED, "the core does not tell of offers"};
        return Subscription::make(host_, std::move(callback),
                                  [host = host_, ask = ext_.on_change, key = std::string(name)](
                                      flowd_callback call, void* user) { return ask(host, to_c(key), call, user); });
    }

  private:
    const flowd_host* host_ = nullptr;
    flowd_ext_shared ext_{};
};

/// The network interfaces on which each instance works, and why. Without the extension the list is empty.
class Interfaces {
  public:
    struct Interface {
        std::uint32_t use = 0;    ///< FLOWD_INTERFACE_*
        std::uint32_t index = 0;  ///< 0: it does not exist now
        std::string name;
        std::string why;
        std::string instance = {};  ///< that published it; ignored by publish
        std::uint32_t marks = 0;    ///< FLOWD_MARKS_*
    };

    Interfaces() = default;
    Interfaces(const flowd_host* host, const void* extension)
        : host_(host), ext_(copy_sized<flowd_ext_interfaces>(extension)) {}
    explicit operator bool() const { return ext_.size != 0; }

    /// Replaces the list of this instance. Call it in prepare(), so that all can read it in start().
    Result<void> publish(std::span<const Interface> interfaces) const {
        if (ext_.publish == nullptr) return {};
        std::vector<flowd_interface> raw;
        for (const Interface& one : interfaces)
            raw.push_back({sizeof(flowd_interface), one.use, one.index, one.marks, to_c(one.name), to_c(one.why), {}});
        const flowd_result result = ext_.publish(host_, raw.data(), raw.size(), sizeof(flowd_interface));
        if (result < 0) return Error{result, "the core does not publish the interfaces"};
        return {};
    }
    /// [any] All published interfaces, of all instances.
    [[nodiscard]] std::vector<Interface> list() const {
        std::vector<Interface> all;
        if (ext_.visit == nullptr) return all;
        const auto add = [&](const flowd_interface& one) {
            all.push_back({one.use, one.index, std::string(to_view(one.name)), std::string(to_view(one.why)),
                           std::string(to_view(one.instance)), one.marks});
        };
        detail::Visit<flowd_interface, decltype(add)> visit{add};
        (void)visit.finish(ext_.visit(host_, &visit.step, &visit), "");
        return all;
    }
    /// Calls back after changes by other instances, and once if another has published already. Must not outlive the
    /// component.
    [[nodiscard]] Result<Subscription> on_change(std::function<void()> callback) const {
        if (ext_.on_change == nullptr) return Error{FLOWD_UNSUPPORTED, "the core does not tell of interfaces"};
        return Subscription::make(
            host_, std::move(callback),
            [host = host_, ask = ext_.on_change](flowd_callback call, void* user) { return ask(host, call, user); });
    }

  private:
    const flowd_host* host_ = nullptr;
    flowd_ext_interfaces ext_{};
};

/// All time series of the daemon. [any] Without the extension there are none.
class AllMetrics {
  public:
    AllMetrics() = default;
    AllMetrics(const flowd_host* host, const void* extension)
        : host_(host), ext_(copy_sized<flowd_ext_metrics>(extension)) {}
    explicit operator bool() const { return ext_.size != 0; }

    /// Calls visitor(const flowd_series&) for each series. Results and exceptions as LiveFlows::page.
    template <typename Visitor>
    Result<void> visit(Visitor&& visitor) const {
        if (ext_.visit == nullptr) return {};
        detail::Visit<flowd_series, Visitor> visit{visitor};
        return visit.finish(ext_.visit(host_, &visit.step, &visit), "the time series could not be visited");
    }

  private:
    const flowd_host* host_ = nullptr;
    flowd_ext_metrics ext_{};
};

}  // namespace flowd
