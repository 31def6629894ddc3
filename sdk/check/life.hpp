// SPDX-License-Identifier: Apache-2.0
// Runs an instance through its lifecycle as the core does, and records its results. Belongs to the instance's thread.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sdk/check/check.hpp"
#include "sdk/check/probe_host.hpp"
#include "sdk/check/subject.hpp"

namespace flowd::check {

class Life {
  public:
    Life(const flowd_component& component, const flowd_value& config, ProbeHost& host, Progress& progress);
    Life(const Life&) = delete;
    Life& operator=(const Life&) = delete;
    /// Stops and destroys what is left.
    ~Life();

    flowd_result create();
    flowd_result prepare();
    flowd_result start();
    /// create, prepare and start. False: one of them failed, and down() says how.
    bool up();
    /// Why up() failed, as the instance explained it.
    [[nodiscard]] std::string down() const;
    /// up() failed without a problem reported for it.
    [[nodiscard]] bool unexplained() const;
    /// Runs its loop: each job in turn, then whatever comes for so long, and longer until `done` answers true [any] or two
    /// seconds have passed; then stop, called the way its loop needs it.
    void live(std::vector<std::function<void()>> jobs, std::chrono::milliseconds linger = std::chrono::milliseconds(100),
              const std::function<bool()>& done = {});
    flowd_result stop(std::chrono::nanoseconds grace = std::chrono::seconds(2));
    /// The reason of the next stops.
    void stop_for(std::uint32_t reason) { reason_ = reason; }
    void destroy();

    /// `taken` is how many it took, whatever it answered.
    flowd_result on_events(const flowd_event* events, std::size_t count, std::size_t stride, std::size_t& taken);
    flowd_result sample(const flowd_flow* flows, std::size_t count, std::size_t stride, bool last,
                        const flowd_samples* samples);
    void on_room();
    flowd_result reconfigure(const flowd_value& config);
    const void* extension(const char* id);

    [[nodiscard]] flowd_instance* raw() const { return instance_; }
    /// One of its own calls, named in Progress, behind an exception barrier.
    flowd_result guarded(const char* call, const std::function<flowd_result()>& work);

  private:
    const flowd_component& component_;
    const flowd_value& config_;
    ProbeHost& host_;
    Progress& progress_;
    flowd_instance* instance_ = nullptr;
    std::uint32_t reason_ = FLOWD_STOP_REMOVED;
    std::string failed_call_;
    flowd_result failure_ = FLOWD_OK;
};

/// Runs `work` on a thread of its own with a host and a life, then turns breaches into a failure. What a check returns
/// is returned; skipped if there are no options for the component.
Outcome with_life(Subject& subject, const std::function<Outcome(Life&, ProbeHost&)>& work, const Oddity& oddity = {});

/// "FLOWD_DENIED".
[[nodiscard]] std::string result_name(flowd_result result);

}  // namespace flowd::check
