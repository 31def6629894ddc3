// SPDX-License-Identifier: Apache-2.0
// Notifies watchers of changes. The owner locks it and notifies with the lock held, so a Tell may only wake a thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>

namespace flowd::core {

class Watchers {
  public:
    using Holder = std::uint64_t;  ///< an instance
    using Tell = std::function<void()>;

    /// An empty `tell` removes the watch.
    void set(Holder holder, Tell tell) {
        if (tell)
            tells_[holder] = std::move(tell);
        else
            tells_.erase(holder);
    }
    void tell_all(Holder except = 0) const {
        for (const auto& [holder, tell] : tells_)
            if (holder != except) tell();
    }
    [[nodiscard]] bool empty() const { return tells_.empty(); }

  private:
    std::map<Holder, Tell> tells_;
};

}  // namespace flowd::core
