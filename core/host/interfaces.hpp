// SPDX-License-Identifier: Apache-2.0
// The network interfaces that each instance works on (flowd/abi/ext/interfaces.h). Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "core/host/watchers.hpp"

namespace flowd::core {

class Interfaces {
  public:
    using Holder = Watchers::Holder;
    static constexpr std::size_t max_published = 4096;  ///< by one instance

    struct Interface {
        std::uint32_t use = 0;    ///< FLOWD_INTERFACE_*
        std::uint32_t index = 0;  ///< 0: it does not exist at present
        std::string name;
        std::string why;
        std::string instance = {};  ///< set by publish()
        std::uint32_t marks = 0;    ///< FLOWD_MARKS_*
        friend bool operator==(const Interface&, const Interface&) = default;
    };

    /// Replaces what `holder` published before. Notifies the other holders if the list changes.
    void publish(Holder holder, const std::string& instance, std::vector<Interface> interfaces);
    /// Removes the watch and the published interfaces of `holder`.
    void release(Holder holder);
    [[nodiscard]] std::vector<Interface> list() const;
    /// `tell` is called with the FLOWD_MARKS_* of all interfaces that exist, now and when they change; without a lock but
    /// this one. Before instances are created.
    void on_marks(std::function<void(std::uint32_t)> tell);
    /// `tell` is called when another holder's list changes, and at once if another has published. Empty: removes the watch.
    void watch(Holder holder, Watchers::Tell tell);

  private:
    void tell_marks() const;  // with the lock

    mutable std::mutex mutex_;
    std::function<void(std::uint32_t)> marks_;
    std::map<Holder, std::vector<Interface>> published_;
    Watchers watchers_;
};

}  // namespace flowd::core
