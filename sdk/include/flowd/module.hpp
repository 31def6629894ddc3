// SPDX-License-Identifier: Apache-2.0
// flowd/module.hpp: writing a module in C++. See docs/writing-a-module.md; life and threads: docs/module-lifecycle.md.
//
//   class Hello final : public flowd::Plugin {
//     public:
//       struct Options { ...; static const flowd::Table<Options>& table(); };
//       static constexpr flowd::Info info{.name = "hello", .summary = "Says hello."};
//       Hello(flowd::Host& host, Options options);
//       flowd::Result<void> start() override;
//   };
//   FLOWD_MODULE(Hello)
//
// What else a component may have, found by its name and signature:
//   static void validate(const Options&, flowd::Problems&);       rules across options; no side effects. A third parameter
//                                                                 const flowd::Offline& gives log and registry
//   flowd::Result<void> reconfigure(Options);                     new options while live; FLOWD_UNSUPPORTED: new instance
//   static std::vector<flowd::Command<Hello>> commands();         `flowd-cpp hello COMMAND ...`, asked of the daemon
//   static std::vector<flowd::Tool> tools();                      the same without a daemon: flowd/tool.hpp
//   std::vector<flowd::Finding> findings() const;                 what is amiss now: flowd/findings.hpp
//   static std::vector<flowd::Finding> host_findings(const Options&, const flowd::Offline&);   the same of this host,
//   without
//                                                                 an instance, a daemon or a change (`flowd-cpp check
//                                                                 --host`)
//   void explain(const flowd::FlowBatch&, flowd::Explanations&) const;   what it did with these flows, and why
// Every call comes on the instance's own thread, one at a time, unless it says otherwise. An exception that leaves any of
// them is caught, logged with the instance's name, and becomes FLOWD_EXCEPTION.
#pragma once

#include <array>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "flowd/abi/ext/command.h"
#include "flowd/abi/ext/status.h"
#include "flowd/abi/module.h"
#include "flowd/event.hpp"
#include "flowd/findings.hpp"
#include "flowd/host.hpp"
#include "flowd/json.hpp"
#include "flowd/options.hpp"
#include "flowd/problem.hpp"
#include "flowd/result.hpp"
#include "flowd/tool.hpp"

namespace flowd {

/// What a component says of itself. `static constexpr flowd::Info info{...}`.
struct Info {
    const char* name;                                      ///< its key in the YAML: [a-z][a-z0-9]*
    const char* summary;                                   ///< one line
    std::array<const char*, 8> aliases = {};               ///< other keys for it; at most seven
    std::uint32_t loop = FLOWD_LOOP_HOSTED;                ///< FLOWD_LOOP_OWN: run() is called and has to dispatch
    std::uint32_t precedence = FLOWD_PRECEDENCE_EXPLICIT;  ///< plugins: FLOWD_PRECEDENCE_*
    /// Backends: bits 1 << FLOWD_EVENT_*; all flow events when not set.
    std::uint32_t accepts = 1u << FLOWD_EVENT_START | 1u << FLOWD_EVENT_ONGOING | 1u << FLOWD_EVENT_END;
    std::uint32_t flags = 0;  ///< FLOWD_COMPONENT_*
};

/// When stop() has to be done, and why it comes.
class Deadline {
  public:
    explicit Deadline(std::int64_t monotonic_ns, std::uint32_t reason = FLOWD_STOP_REMOVED)
        : at_(std::chrono::nanoseconds(monotonic_ns)), reason_(reason) {}
    /// One of the module's own.
    [[nodiscard]] static Deadline in(std::chrono::nanoseconds time) {
        const auto at = std::chrono::steady_clock::now() + time;
        return Deadline(std::chrono::nanoseconds(at.time_since_epoch()).count());
    }
    [[nodiscard]] std::uint32_t reason() const { return reason_; }  ///< FLOWD_STOP_*
    [[nodiscard]] std::chrono::steady_clock::time_point time() const { return at_; }
    [[nodiscard]] std::chrono::nanoseconds left() const {
        const auto now = std::chrono::steady_clock::now();
        return now < at_ ? at_ - now : std::chrono::nanoseconds(0);
    }
    [[nodiscard]] bool passed() const { return left().count() == 0; }
    /// In Plugin::stop, where on_room does not come any more: asks every few milliseconds until `done` answers true. False:
    /// the deadline passed before.
    template <typename Done>
    bool await(Done done) const {
        constexpr std::chrono::milliseconds pause(5);
        while (!done()) {
            if (passed()) return false;
            std::this_thread::sleep_for(pause);
        }
        return true;
    }

  private:
    std::chrono::steady_clock::time_point at_;  // CLOCK_MONOTONIC in libstdc++ and libc++ on Linux
    std::uint32_t reason_;
};

/// What validate() may use of the core. Valid for the call.
class Offline {
  public:
    explicit Offline(const flowd_host* host) : host_(host) {}
    void log(flowd_level level, std::string_view text) const { host_->log(host_, level, to_c(text)); }
    [[nodiscard]] Registry registry() const { return {host_, host_->extension(host_, FLOWD_EXT_REGISTRY)}; }

  private:
    const flowd_host* host_;
};

/// What every component can override. It is made by its constructor (Host&, Options), which must not touch the system.
class Component {
  public:
    explicit Component(Host& host) : host_(host) {}
    Component(const Component&) = delete;
    Component& operator=(const Component&) = delete;
    virtual ~Component() = default;

    /// Privileged preparation: sockets, BPF. On a reload the predecessor may still be live: see Host::descriptors.
    virtual Result<void> prepare() { return {}; }
    virtual Result<void> start() { return {}; }
    /// FLOWD_LOOP_OWN only: until Host::dispatch answers FLOWD_STOPPED (AsioLoop::run does).
    virtual Result<void> run() { return Error{FLOWD_UNSUPPORTED, "this component has no loop of its own"}; }
    /// Flush until the deadline, then say what was lost. Called once at most, also when prepare or start failed.
    virtual Result<void> stop(Deadline) { return {}; }
    /// Adds members to the object that `flowd-cpp status` shows for this instance.
    virtual void status(json::Writer& object) const { (void)object; }

  protected:
    [[nodiscard]] Host& host() const { return host_; }

  private:
    Host& host_;
};

/// A source of flow events: Host::emit.
class Plugin : public Component {
  public:
    static constexpr std::uint32_t kind = FLOWD_PLUGIN;
    using Component::Component;
    /// Emit answered full before; there is room again.
    virtual void on_room() {}
};

/// What a backend answers to a batch: see flowd_component.on_events.
struct Taken {
    flowd_result result = FLOWD_OK;
    std::size_t count = 0;

    /// All events are this backend's responsibility now.
    [[nodiscard]] static Taken all() { return {}; }
    /// The first `count` are; the rest is offered again after Host::ready.
    [[nodiscard]] static Taken full(std::size_t count) { return {FLOWD_FULL, count}; }
    /// The first `count` are; the one behind them is refused for good, those behind it are offered at once.
    [[nodiscard]] static Taken invalid(std::size_t count) { return {FLOWD_INVALID, count}; }
    /// The first `count` are; the rest is lost, and counted as failed.
    [[nodiscard]] static Taken failed(std::size_t count, flowd_result result = FLOWD_ERROR) { return {result, count}; }
};

/// A sink of flow events.
class Backend : public Component {
  public:
    static constexpr std::uint32_t kind = FLOWD_BACKEND;
    using Component::Component;
    /// In order per flow. Borrowed: copy what is to be kept.
    [[nodiscard]] virtual Taken on_events(const Events& events) = 0;
};

/// Where an enricher puts what it found. Valid during sample().
class Samples {
  public:
    explicit Samples(const flowd_samples* sink) : sink_(sink) {}
    /// At most one per flow and period. `size` is set here. The text and bytes it points to are copied.
    flowd_result add(flowd_sample sample) {
        sample.size = sizeof sample;
        return sink_->add(sink_, &sample);
    }

  private:
    const flowd_samples* sink_;
};

/// A sampler of live connections.
class Enricher : public Component {
  public:
    static constexpr std::uint32_t kind = FLOWD_ENRICHER;
    using Component::Component;
    /// All live flows, once per period, in batches; `last`: no more in this period.
    virtual void sample(const FlowBatch& flows, bool last, Samples& samples) = 0;
};

/// One command of a component T. `run` gets the words behind the command's name and writes one JSON value.
template <typename T>
struct Command {
    const char* name;
    const char* arguments;  ///< for the help, "[observe|mark]"; may be null
    const char* summary;
    bool changes;  ///< only for root and the daemon's own user
    Result<void> (T::*run)(const std::vector<std::string_view>& arguments, json::Writer& answer);
};

}  // namespace flowd

#include "flowd/detail/bridge.hpp"

/// Defines the one exported symbol of the module: FLOWD_MODULE(First, Second, ...). Use it once, at namespace scope outside
/// any namespace. flowd_add_module of the CMake package says the name, the version and the license.
#ifndef FLOWD_MODULE_NAME
#define FLOWD_MODULE_NAME "unnamed"
#endif
#ifndef FLOWD_MODULE_VERSION
#define FLOWD_MODULE_VERSION "0"
#endif
#ifndef FLOWD_MODULE_LICENSE
#define FLOWD_MODULE_LICENSE "unknown"
#endif
#define FLOWD_MODULE(...)                                                                                           \
    FLOWD_EXPORT const flowd_module* flowd_module_v1(std::uint32_t) {                                               \
        return ::flowd::detail::module<__VA_ARGS__>(FLOWD_MODULE_NAME, FLOWD_MODULE_VERSION, FLOWD_MODULE_LICENSE); \
    }                                                                                                               \
    static_assert(true)
