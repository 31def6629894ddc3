// SPDX-License-Identifier: Apache-2.0
// flowd/module.hpp: writing a module in C++. See docs/writing-a-module.md; lifecycle and threads: docs/module-lifecycle.md.
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
// Further members that a component may define, recognised by name and signature:
//   static void validate(const Options&, flowd::Problems&);       rules across options; no side effects. A third parameter
//                                                                 const flowd::Offline& gives log and registry
//   flowd::Result<void> reconfigure(Options);                     new options while live; FLOWD_UNSUPPORTED: new instance
//   static std::vector<flowd::Command<Hello>> commands();         `flowd-cpp hello COMMAND ...`, run by the daemon
//   static std::vector<flowd::Tool> tools();                      commands that need no daemon: flowd/tool.hpp
//   std::vector<flowd::Finding> findings() const;                 current problems: flowd/findings.hpp
//   static std::vector<flowd::Finding> host_findings(const Options&, const flowd::Offline&);
//                                                                 problems of this host, found without an instance,
//                                                                 a daemon or changes to the host
//                                                                 (`flowd-cpp check --host`)
//   void explain(const flowd::FlowBatch&, flowd::Explanations&) const;   what it did with these flows, and why
//   static void plan(const Options&, const flowd::Connections&, flowd::Plan&, const flowd::Offline&);
//                                                                 the tag that each socket would get (`flowd-cpp plan`)
// All calls are made on the instance's own thread, one at a time, except static functions. An exception that leaves one of
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
#include "flowd/plan.hpp"
#include "flowd/problem.hpp"
#include "flowd/result.hpp"
#include "flowd/tool.hpp"

namespace flowd {

/// The description of a component: `static constexpr flowd::Info info{...}`.
struct Info {
    const char* name;                                      ///< its key in the YAML: [a-z][a-z0-9]*
    const char* summary;                                   ///< one line
    std::array<const char*, 8> aliases = {};               ///< other keys for it; at most seven
    std::uint32_t loop = FLOWD_LOOP_HOSTED;                ///< FLOWD_LOOP_OWN: run() is called and must dispatch
    std::uint32_t precedence = FLOWD_PRECEDENCE_EXPLICIT;  ///< plugins: FLOWD_PRECEDENCE_*
    /// Backends: bits 1 << FLOWD_EVENT_*; all flow events by default.
    std::uint32_t accepts = 1u << FLOWD_EVENT_START | 1u << FLOWD_EVENT_ONGOING | 1u << FLOWD_EVENT_END;
    std::uint32_t flags = 0;  ///< FLOWD_COMPONENT_*
};

/// The time by which stop() must return, and the reason of the stop. A value.
class Deadline {
  public:
    explicit Deadline(std::int64_t monotonic_ns, std::uint32_t reason = FLOWD_STOP_REMOVED)
        : at_(std::chrono::nanoseconds(monotonic_ns)), reason_(reason) {}
    /// A deadline of the module's own: `time` from now.
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
    /// For Plugin::stop, during which on_room is not called: polls `done` every 5 ms until it returns true. False: the
    /// deadline passed first. Blocks.
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

/// The services of the core that validate() and host_findings() may use. Valid for the call.
class Offline {
  public:
    explicit Offline(const flowd_host* host) : host_(host) {}
    void log(flowd_level level, std::string_view text) const { host_->log(host_, level, to_c(text)); }
    [[nodiscard]] Registry registry() const { return {host_, host_->extension(host_, FLOWD_EXT_REGISTRY)}; }
    /// For host_findings: what the backends of the same configuration have published in theirs, which is called first.
    [[nodiscard]] Interfaces interfaces() const { return {host_, host_->extension(host_, FLOWD_EXT_INTERFACES)}; }

  private:
    const flowd_host* host_;
};

/// The base of all components. The core calls the constructor (Host&, Options), which must not use system resources.
class Component {
  public:
    explicit Component(Host& host) : host_(host) {}
    Component(const Component&) = delete;
    Component& operator=(const Component&) = delete;
    virtual ~Component() = default;

    /// Preparation that needs privileges: sockets, BPF. On a reload the predecessor may still be live: Host::descriptors.
    virtual Result<void> prepare() { return {}; }
    virtual Result<void> start() { return {}; }
    /// FLOWD_LOOP_OWN only: returns when Host::dispatch has returned FLOWD_STOPPED (AsioLoop::run does).
    virtual Result<void> run() { return Error{FLOWD_UNSUPPORTED, "this component has no loop of its own"}; }
    /// Flushes until the deadline, then reports what was lost. Called at most once, also if prepare or start failed.
    virtual Result<void> stop(Deadline) { return {}; }
    /// Adds members to the object that `flowd-cpp status` shows for this instance.
    virtual void status(json::Writer& object) const { (void)object; }

  protected:
    [[nodiscard]] Host& host() const { return host_; }

  private:
    Host& host_;
};

/// A source of flow events: it calls Host::emit.
class Plugin : public Component {
  public:
    static constexpr std::uint32_t kind = FLOWD_PLUGIN;
    using Component::Component;
    /// There is room again after emit returned FLOWD_FULL.
    virtual void on_room() {}
};

/// The result of on_events: how many events the backend took. See flowd_component.on_events.
struct Taken {
    flowd_result result = FLOWD_OK;
    std::size_t count = 0;

    /// The backend is now responsible for all events.
    [[nodiscard]] static Taken all() { return {}; }
    /// It took the first `count`; the rest is offered again after Host::ready.
    [[nodiscard]] static Taken full(std::size_t count) { return {FLOWD_FULL, count}; }
    /// It took the first `count` and refuses the next one permanently; those after that are offered at once.
    [[nodiscard]] static Taken invalid(std::size_t count) { return {FLOWD_INVALID, count}; }
    /// It took the first `count`; the rest is lost, and counted as failed.
    [[nodiscard]] static Taken failed(std::size_t count, flowd_result result = FLOWD_ERROR) { return {result, count}; }
};

/// A sink of flow events.
class Backend : public Component {
  public:
    static constexpr std::uint32_t kind = FLOWD_BACKEND;
    using Component::Component;
    /// Events in order per flow. Borrowed for the call: copy what is needed later.
    [[nodiscard]] virtual Taken on_events(const Events& events) = 0;
};

/// Receives the samples of an enricher. Valid during sample().
class Samples {
  public:
    explicit Samples(const flowd_samples* sink) : sink_(sink) {}
    /// At most one per flow and period. Sets `size`. Copies the text and bytes. Results: flowd_samples.
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
    /// All live flows, once per period, in batches; `last`: the last batch of this period.
    virtual void sample(const FlowBatch& flows, bool last, Samples& samples) = 0;
};

/// One command of a component T. `run` gets the words after the command's name and writes one JSON value.
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
/// any namespace. flowd_add_module of the CMake package defines the name, the version and the license.
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
