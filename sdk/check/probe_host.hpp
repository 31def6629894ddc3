// SPDX-License-Identifier: Apache-2.0
// The host of a checked module: the fake of the SDK, which also records every violation of the ABI's rules, and can act as
// a later core or as one that refuses.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "flowd/abi/module.h"
#include "flowd/testing/fake_host.hpp"
#include "sdk/check/guarded_memory.hpp"

namespace flowd::check {

/// How this core differs from a plain one.
struct Oddity {
    std::optional<flowd_result> emit_answer = {};  ///< emit accepts nothing and answers this
    bool no_extensions = false;
    bool refuses = false;     ///< watch, timer, post and metric_open fail
    bool later_core = false;  ///< flowd_host has members behind those of 1.0, and a later minor
};

/// How far the instance's life has come; later is greater.
enum class Phase { created, prepared, started, stopped, destroyed };

class ProbeHost : public testing::FakeHost {
  public:
    explicit ProbeHost(std::uint32_t kind, Oddity oddity = {});

    /// What the module is given: it ends where readable memory ends, so that reading beyond it crashes.
    [[nodiscard]] const flowd_host* offered() const { return offered_.get(); }

    /// The calling thread is the instance's.
    void bind_thread() { thread_ = std::this_thread::get_id(); }
    void set_phase(Phase phase) { phase_ = phase; }
    [[nodiscard]] Phase phase() const { return phase_; }

    /// [any] Notes a breach, once.
    void breach(const std::string& what);
    [[nodiscard]] std::vector<std::string> breaches() const;
    /// [any] Calls of emit so far.
    [[nodiscard]] std::size_t emits() const { return emits_; }
    /// Called on the instance's thread after each call of `ready`.
    void on_ready(std::function<void()> callback) { on_ready_ = std::move(callback); }

  private:
    static ProbeHost& of(const flowd_host* host);
    void alive(const char* call);
    void on_instance_thread(const char* call);
    void judge_events(const flowd_event* events, std::size_t count, std::size_t stride);
    void judge_problem(const flowd_problem& problem);
    bool knows_flow(std::uint64_t id);
    void answer_flows(std::span<const std::uint64_t> ids, std::uint64_t* flow_ids);
    void judge_metric(const flowd_metric_info& info);
    void judge_refusal(const flowd_refusal& refusal);
    void replace_output();
    void replace_loop();
    void replace_metrics();

    const std::uint32_t kind_;
    const Oddity oddity_;
    flowd_host plain_{};  // the fake's own functions
    const std::string state_directory_, runtime_directory_;
    Guarded<flowd_host> offered_;
    std::atomic<std::thread::id> thread_{};
    std::atomic<Phase> phase_{Phase::created};
    std::atomic<std::size_t> emits_{0};
    std::function<void()> on_ready_;
    mutable std::mutex breaches_mutex_;
    std::vector<std::string> breaches_;
    std::set<std::uint64_t> flows_;  // ids that emit has answered; of the same mutex
};

}  // namespace flowd::check
