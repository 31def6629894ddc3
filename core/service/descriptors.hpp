// SPDX-License-Identifier: Apache-2.0
// File descriptors that outlive an instance (flowd/abi/ext/descriptors.h), and the way to and from systemd. Any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::core {

/// The name of the resource behind a descriptor: "udp:ADDRESS:PORT", "tcp:ADDRESS:PORT", "unix:PATH", "fifo:PATH"; empty
/// when it is none of these.
[[nodiscard]] std::string descriptor_name(int fd);

/// A name as systemd's FDNAME= takes it (no colon, no control character), and back.
[[nodiscard]] std::string encode_fdname(std::string_view name);
[[nodiscard]] std::string decode_fdname(std::string_view name);

class DescriptorStore {
  public:
    using Holder = std::uint64_t;  ///< an instance

    /// Told when a descriptor is stored or dropped, so that the service manager keeps it over a crash. Called without
    /// locks.
    struct Observer {
        std::function<void(const std::string& name, int fd)> stored;
        std::function<void(const std::string& name)> dropped;
    };

    DescriptorStore() = default;
    explicit DescriptorStore(Observer observer) : observer_(std::move(observer)) {}

    /// Takes over what systemd passed (LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES) and clears these variables. Answers how
    /// many.
    std::size_t adopt_from_systemd();
    /// Adds one from outside under the name of its resource and under `name`; kept while the daemon lives.
    void adopt(std::string_view name, UniqueFd fd);

    /// A duplicate. FLOWD_NOT_FOUND: nobody left one.
    [[nodiscard]] Result<UniqueFd> take(std::string_view name) const;
    /// Keeps a duplicate until `holder`, or the last of several, forgets it or is released.
    [[nodiscard]] Result<void> keep(Holder holder, std::string_view name, int fd);
    void forget(Holder holder, std::string_view name);
    void release(Holder holder);

    [[nodiscard]] std::vector<std::string> names() const;

  private:
    struct Entry {
        UniqueFd fd;
        std::set<Holder> holders;
        bool adopted = false;
    };

    mutable std::mutex mutex_;
    std::map<std::string, Entry, std::less<>> entries_;
    Observer observer_;
};

}  // namespace flowd::core
