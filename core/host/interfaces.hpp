// SPDX-License-Identifier: Apache-2.0
// Which instance works on which network interfaces (flowd/abi/ext/interfaces.h). Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
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
        std::uint32_t index = 0;  ///< 0: it does not exist now
        std::string name;
        std::string why;
        std::string instance = {};  ///< set here
        friend bool operator==(const Interface&, const Interface&) = default;
    };

    /// In place of what `holder` had published. Tells the others if that changes anything.
    void publish(Holder holder, const std::string& instance, std::vector<Interface> interfaces);
    /// Ends its watch and withdraws what it had published.
    void release(Holder holder);
    [[nodiscard]] std::vector<Interface> list() const;
    /// From now on `tell` is called at each change by another; at once when something is published. Empty ends it.
    void watch(Holder holder, Watchers::Tell tell);

  private:
    mutable std::mutex mutex_;
    std::map<Holder, std::vector<Interface>> published_;
    Watchers watchers_;
};

}  // namespace flowd::core
