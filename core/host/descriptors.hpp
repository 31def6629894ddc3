// SPDX-License-Identifier: Apache-2.0
// File descriptors that outlive an instance (flowd/abi/ext/descriptors.h), and their exchange with systemd. Any thread.
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

/// The name of the resource of a descriptor: "udp:ADDRESS:PORT", "tcp:ADDRESS:PORT", "unix:PATH", "fifo:PATH"; empty for
/// any other descriptor.
[[nodiscard]] std::string descriptor_name(int fd);

/// Converts a name to the form that systemd's FDNAME= accepts (no colon, no control character), and back.
[[nodiscard]] std::string encode_fdname(std::string_view name);
[[nodiscard]] std::string decode_fdname(std::string_view name);

class DescriptorStore {
  public:
    using Holder = std::uint64_t;  ///< an instance

    /// Notified when a descriptor is stored or dropped, so that the service manager keeps it if the daemon crashes. Called
    /// without locks.
    struct Observer {
        std::function<void(const std::string& name, int fd)> stored;
        std::function<void(const std::string& name)> dropped;
    };

    DescriptorStore() = default;
    explicit DescriptorStore(Observer observer) : observer_(std::move(observer)) {}

    /// Takes ownership of the descriptors that systemd passed (LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES) and unsets these
    /// variables. Returns their number.
    std::size_t adopt_from_systemd();
    /// Adds an external descriptor under `name` and under the name of its resource; kept until the daemon ends.
    void adopt(std::string_view name, UniqueFd fd);

    /// A duplicate of an external descriptor, or of one that `taker`, or a holder after make_way(), keeps. FLOWD_NOT_FOUND:
    /// no such descriptor; FLOWD_BUSY: another instance keeps it and is not being removed.
    [[nodiscard]] Result<UniqueFd> take(Holder taker, std::string_view name) const;
    /// Keeps a duplicate until `holder` forgets it or is released. Of several holders, the latest one's is taken, so that
    /// the predecessor's is in force again after a reload that was rolled back.
    [[nodiscard]] Result<void> keep(Holder holder, std::string_view name, int fd);
    void forget(Holder holder, std::string_view name);
    void release(Holder holder);
    /// A reload removes `holder`: successors may take its descriptors. stay() reverts this if the reload is rolled back.
    void make_way(Holder holder);
    void stay(Holder holder);

    [[nodiscard]] std::vector<std::string> names() const;

  private:
    struct Kept {
        Holder holder;
        UniqueFd fd;
    };
    struct Entry {
        UniqueFd adopted;
        std::vector<Kept> kept;  // the latest is last

        [[nodiscard]] int fd() const { return kept.empty() ? adopted.get() : kept.back().fd.get(); }
        [[nodiscard]] bool empty() const { return kept.empty() && !adopted; }
    };
    using Entries = std::map<std::string, Entry, std::less<>>;

    /// Removes the descriptor of `holder` from an entry, erases an empty entry, and records the change for the service
    /// manager. Called with the lock held.
    struct Change {
        std::string name;
        UniqueFd now;  // the descriptor kept from now on; empty: dropped
    };
    Entries::iterator let_go(Entries::iterator entry, Holder holder, std::vector<Change>& changes);
    void tell(const std::vector<Change>& changes) const;

    mutable std::mutex mutex_;
    Entries entries_;
    std::set<Holder> making_way_;
    Observer observer_;
};

}  // namespace flowd::core
