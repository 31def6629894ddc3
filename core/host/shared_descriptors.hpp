// SPDX-License-Identifier: Apache-2.0
// File descriptors that instances offer to each other (flowd/abi/ext/shared.h). Any thread.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/host/watchers.hpp"
#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::core {

class SharedDescriptors {
  public:
    using Holder = Watchers::Holder;

    struct Obtained {
        UniqueFd fd;                   ///< the caller's own duplicate
        std::uint64_t generation = 0;  ///< differs for each offer
    };

    /// Keeps a duplicate until `holder` withdraws it or is released. Of several holders, the latest is obtained; if it
    /// withdraws, the previous offer is in force again.
    [[nodiscard]] Result<void> offer(Holder holder, std::string_view name, int fd);
    void withdraw(Holder holder, std::string_view name);
    void release(Holder holder);
    /// FLOWD_NOT_FOUND: no instance offers it.
    [[nodiscard]] Result<Obtained> obtain(std::string_view name) const;

    /// `tell` is called when the result of obtain() changes, and at once if there is an offer. Empty: removes the watch.
    void watch(Holder holder, std::string_view name, Watchers::Tell tell);

  private:
    struct Offer {
        Holder holder;
        UniqueFd fd;
        std::uint64_t generation;
    };
    using Offers = std::vector<Offer>;  // the latest is last

    /// Removes the offer of a holder. Notifies watchers if it was the latest one.
    void erase(const std::string& name, Offers& offers, Holder holder) const;
    void tell(const std::string& name) const;

    mutable std::mutex mutex_;
    std::map<std::string, Offers, std::less<>> offers_;
    std::map<std::string, Watchers, std::less<>> watchers_;
    std::uint64_t last_generation_ = 0;
};

}  // namespace flowd::core
