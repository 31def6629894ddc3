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

    /// Takes over what systemd passed (LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES) and clears these variables. Returns how
    /// many.
    std::size_t adopt_from_systemd();
    /// Adds one from outside, under `name` and under that of its resource; kept while the daemon lives.
    void adopt(std::string_view name, UniqueFd fd);

    /// A duplicate of what came from outside, of what `taker` keeps, or of what one keeps that makes way. FLOWD_NOT_FOUND:
    /// there is none; FLOWD_BUSY: it is that of an instance that stays.
    [[nodiscard]] Result<UniqueFd> take(Holder taker, std::string_view name) const;
    /// Keeps a duplicate until `holder` forgets it or is released. Of several holders the latest one's is taken, so that
    /// after a reload that was rolled back the predecessor's is in force again.
    [[nodiscard]] Result<void> keep(Holder holder, std::string_view name, int fd);
    void forget(Holder holder, std::string_view name);
    void release(Holder holder);
    /// A reload removes `holder`: its successors may take what it keeps. If the reload is rolled back, they may not.
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
        std::vector<Kept> kept;  // the latest is the last

        [[nodiscard]] int fd() const { return kept.empty() ? adopted.get() : kept.back().fd.get(); }
        [[nodiscard]] bool empty() const { return kept.empty() && !adopted; }
    };
    using Entries = std::map<std::string, Entry, std::less<>>;

    /// Takes what `holder` keeps out of an entry, erases one that is empty, and notes what the service manager has to be
    /// told. Under the lock.
    struct Change {
        std::string name;
        UniqueFd now;  // what is kept from now on; nothing: dropped
    };
    Entries::iterator let_go(Entries::iterator entry, Holder holder, std::vector<Change>& changes);
    void tell(const std::vector<Change>& changes) const;

    mutable std::mutex mutex_;
    Entries entries_;
    std::set<Holder> making_way_;
    Observer observer_;
};

}  // namespace flowd::core
