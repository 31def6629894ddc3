// SPDX-License-Identifier: Apache-2.0
// Components whose every step is written by the test, and a rig that runs them as the daemon does.
#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "core/service/supervisor.hpp"
#include "flowd/address.hpp"
#include "flowd/sized.hpp"

namespace flowd::core::test {

using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;

inline constexpr auto patience = 60s;  // sanitizers on a busy machine

/// What an instance does when it is called. Written before it is launched; found by its key.
struct Script {
    std::function<flowd_result()> create, prepare, start, stop, reconfigure;
    std::function<flowd_result(const flowd_host*)> run;
    std::function<void()> destroy, on_room;
    std::function<flowd_result(const flowd_event*, std::size_t)> on_events;
    std::function<flowd_result(const flowd_event*, std::size_t, std::size_t* taken)> on_part;  ///< in its place
    std::function<flowd_result(const flowd_flow*, std::size_t, bool last, const flowd_samples*)> sample;
    std::function<const void*(std::string_view)> extension;

    std::atomic<const flowd_host*> host{nullptr};
    std::atomic<int> created{0}, prepared{0}, started{0}, stopped{0}, destroyed{0}, reconfigured{0};
    std::atomic<std::uint32_t> stop_reason{0};
    std::atomic<std::int64_t> value{0};  ///< of the option, as it was last passed
};

/// Scripts by instance key. The modules' callbacks have no other way to find theirs.
class Scripts {
  public:
    static Script& of(const std::string& key) {
        const std::lock_guard lock(mutex());
        auto& slot = all()[key];
        if (slot == nullptr) slot = std::make_unique<Script>();
        return *slot;
    }
    static void clear() {
        const std::lock_guard lock(mutex());
        all().clear();
    }

  private:
    static std::mutex& mutex() {
        static std::mutex m;
        return m;
    }
    static std::map<std::string, std::unique_ptr<Script>>& all() {
        static std::map<std::string, std::unique_ptr<Script>> scripts;
        return scripts;
    }
};

/// The component of a kind; `with_reconfigure`: it has that callback.
const flowd_component& component(std::uint32_t kind, std::uint32_t loop = FLOWD_LOOP_HOSTED, bool with_reconfigure = false,
                                 std::uint32_t flags = 0);

/// An instance of it: one option "value".
InstanceConfig config(std::uint32_t kind, const std::string& key, std::int64_t value = 0,
                      std::uint32_t loop = FLOWD_LOOP_HOSTED, bool with_reconfigure = false, std::uint32_t flags = 0);

/// Something a test lets go of when it wants to.
class Gate {
  public:
    void open() {
        {
            const std::lock_guard lock(mutex_);
            open_ = true;
        }
        changed_.notify_all();
    }
    void pass() {
        std::unique_lock lock(mutex_);
        ++waiting_;
        changed_.notify_all();
        changed_.wait(lock, [this] { return open_; });
        --waiting_;
    }
    /// Until somebody waits at it.
    [[nodiscard]] bool reached() {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, patience, [this] { return waiting_ > 0; });
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool open_ = false;
    int waiting_ = 0;
};

/// Until `condition` holds; false when it takes too long.
[[nodiscard]] bool eventually(const std::function<bool()>& condition);

/// Everything that instances use.
class Rig : public ::testing::Test {
  protected:
    Rig();
    ~Rig() override;
    /// Stops what runs while the fixture's members are there. What captures locals of a test has to be stopped by it.
    void TearDown() override;

    [[nodiscard]] std::string log() const;
    [[nodiscard]] std::unique_ptr<Instance> instance(InstanceConfig config);
    [[nodiscard]] std::unique_ptr<Instance> launched(InstanceConfig config, InstanceState until = InstanceState::prepared);
    [[nodiscard]] std::unique_ptr<Instance> running(InstanceConfig config);
    [[nodiscard]] bool reaches(const Instance& instance, InstanceState state);
    [[nodiscard]] bool stops(Instance& instance, std::chrono::milliseconds time = patience);
    [[nodiscard]] Supervisor& supervisor();
    /// Supervisor::start of these.
    template <typename... Configs>
    ExitCode start(Configs... configs) {
        return supervisor().start(list(std::move(configs)...));
    }
    template <typename... Configs>
    static std::vector<InstanceConfig> list(Configs... configs) {
        std::vector<InstanceConfig> all;
        (all.push_back(std::move(configs)), ...);
        return all;
    }

    UniqueFd log_fd_{::memfd_create("log", MFD_CLOEXEC)};
    Logging logging_{LogOptions{spdlog::level::trace, false, false, log_fd_.get()}};
    std::shared_ptr<spdlog::logger> logger_{logging_.logger("")};
    Registries registries_;
    Metrics metrics_;
    DescriptorStore descriptors_;
    SharedDescriptors shared_;
    Interfaces interfaces_;
    OwnSockets sockets_;
    Refusals refusals_;
    Requests requests_;
    FindingsBoard findings_;
    SenderIds senders_;
    Directories directories_{"/var/lib/flowd-cpp", {}};
    Bus bus_;
    Services services_{bus_,      metrics_, descriptors_, shared_,     interfaces_, sockets_, refusals_,
                       findings_, senders_, directories_, registries_, logging_,    requests_};
    std::unique_ptr<Loop> loop_{*Loop::create()};
    Supervisor::Settings settings_{};
    std::unique_ptr<Supervisor> supervisor_;
};

/// The event of flow number `n`: one TCP connection each.
[[nodiscard]] flowd_event event(std::uint32_t kind, std::uint32_t n, std::uint32_t experiment = 2,
                                std::uint32_t activity = 3);
/// Back from an event to the number.
[[nodiscard]] std::uint32_t number_of(const flowd_event& event);

}  // namespace flowd::core::test
