// SPDX-License-Identifier: Apache-2.0
// core/flows/membership.hpp: the members of the bus: the slots of plugins and of backends, and the
// names of instances.
//
// Invariants:
// - Members change one at a time: a thread that adds, replaces or removes one holds change() until that is complete.
// - A slot is written with change() and `registration_` held, so it is read under either. The queue of a backend may
//   also be read under the lock of a shard that has its bit (Recipients).
// - An AnnouncerId is valid while its slot has the generation of the id. A thread that finds it valid under the lock of a
//   shard has finished with that shard before the removal of the plugin walks through it.
// - A callback is called with the lock of its slot held and no other, and not after the removal has returned.
// - The name of an instance exists as long as the bus: queued events point to it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/flows/bus.hpp"
#include "core/flows/bus_lock.hpp"
#include "core/flows/counters.hpp"

namespace flowd::core {

/// The counts of one call of emit, added to the plugin's counters at its end.
struct Tally {
    std::array<std::uint64_t, event_kinds> offered{};
    std::uint64_t accepted = 0;
    CountsBy<Refusal> refused{};
    CountsBy<Effect> effects{};

    void refuse(Refusal reason) { ++refused[static_cast<std::size_t>(reason)]; }
    void note(Effect effect) { ++effects[static_cast<std::size_t>(effect)]; }
};

/// The slot of a plugin instance. Public functions may be called from any thread.
class Announcer {
  public:
    [[nodiscard]] std::uint32_t precedence() const { return precedence_.load(std::memory_order_relaxed); }
    [[nodiscard]] std::uint16_t name_number() const { return name_number_; }
    [[nodiscard]] std::uint32_t generation() const { return generation_; }
    [[nodiscard]] std::uint32_t epoch() const { return epoch_; }  ///< differs for each holder of the slot

    /// Counts one more live flow. False: the limit is reached, which is `cap` unless the plugin has its own.
    bool charge(std::uint64_t cap);
    void charge() { live_.fetch_add(1, std::memory_order_relaxed); }
    void discharge() { live_.fetch_sub(1, std::memory_order_relaxed); }
    void add(const Tally& tally);

    void tell_room();
    void tell_marks(std::uint32_t epoch, std::size_t count);

  private:
    friend class Membership;
    void set(const AnnouncerOptions& options, std::uint16_t name_number);
    void set_callbacks(std::function<void()> on_room, std::function<void(std::size_t)> on_marks);
    void reset_counters();
    [[nodiscard]] AnnouncerCounters counters() const;

    std::string name_;
    bool taken_ = false;
    std::atomic<std::uint16_t> name_number_{0};
    std::atomic<std::uint32_t> precedence_{0};
    std::atomic<std::uint64_t> max_live_{0};
    std::atomic<std::uint32_t> generation_{0};

    std::atomic<std::uint64_t> live_{0};
    std::array<std::atomic<std::uint64_t>, event_kinds> offered_{};
    std::atomic<std::uint64_t> accepted_{0};
    std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(Refusal::count_)> refused_{};
    std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(Effect::count_)> effects_{};

    std::mutex callbacks_mutex_;
    std::function<void()> on_room_;
    std::function<void(std::size_t)> on_marks_;
    std::atomic<std::uint32_t> epoch_{0};
};

/// The names of instances. A thread that has the number of a name may read it without a lock.
class InstanceNames {
  public:
    /// The existing number of the name, or a new one. One thread at a time.
    std::uint16_t number_of(const std::string& name);
    /// 0: the empty name.
    [[nodiscard]] const std::string& operator[](std::uint16_t number) const {
        return pages_[number / page_size][number % page_size];
    }

  private:
    static constexpr std::size_t page_size = 256;
    std::array<std::unique_ptr<std::string[]>, 256> pages_{std::make_unique<std::string[]>(page_size)};
    std::size_t used_ = 1;
};

class Membership {
  public:
    [[nodiscard]] std::unique_lock<std::mutex> change() { return std::unique_lock(changes_); }

    [[nodiscard]] Announcer& announcer(std::size_t slot) { return announcers_[slot]; }
    [[nodiscard]] const Announcer& announcer(std::size_t slot) const { return announcers_[slot]; }
    [[nodiscard]] bool is_valid(AnnouncerId id) const { return announcers_[id.slot].generation_ == id.generation; }
    [[nodiscard]] const std::string& name(std::uint16_t number) const { return names_[number]; }
    [[nodiscard]] const std::shared_ptr<DeliveryQueue>& backend(std::size_t slot) const { return backends_[slot]; }

    // With change() held.
    Result<AnnouncerId> add_announcer(AnnouncerOptions options);
    /// The successor keeps the slot, the generation and the flows.
    Result<void> replace_announcer(AnnouncerId id, AnnouncerOptions options);
    /// Invalidates the id; the slot and its callbacks remain until free_announcer(). False: it was not valid.
    bool retire_announcer(AnnouncerId id);
    void free_announcer(std::uint32_t slot);
    void drop_callbacks();
    [[nodiscard]] Result<unsigned> free_backend_slot() const;
    void set_backend(unsigned slot, std::shared_ptr<DeliveryQueue> queue);

    // Without change().
    [[nodiscard]] std::uint64_t announcers_called(std::string_view name) const;  ///< as bits
    [[nodiscard]] std::vector<AnnouncerCounters> announcer_counters() const;
    template <typename Function>
    void for_each_backend(Function&& f) const {
        const std::lock_guard lock(registration_);
        for (const auto& queue : backends_)
            if (queue) f(queue);
    }

  private:
    [[nodiscard]] bool is_taken(AnnouncerId id) const;

    std::mutex changes_;
    mutable BusLock<Guards::registration> registration_;
    std::array<Announcer, Bus::max_announcers> announcers_;
    std::array<std::shared_ptr<DeliveryQueue>, Bus::max_backends> backends_;
    InstanceNames names_;
};

}  // namespace flowd::core
