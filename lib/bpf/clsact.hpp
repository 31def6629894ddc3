// SPDX-License-Identifier: Apache-2.0
// lib/bpf/clsact.hpp: BPF filters on the clsact qdisc of an interface (tc-bpf(8)). Not bound to a thread, not thread-safe.
// Other programs use the same qdisc: nothing here removes a filter or a qdisc that the caller did not name.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "flowd/result.hpp"
#include "lib/bpf/direction.hpp"

namespace flowd::bpf {

/// A filter as the kernel lists it.
struct Filter {
    std::uint32_t handle = 0;
    std::uint16_t priority = 0;  ///< filters run in ascending order
    std::uint32_t chain = 0;     ///< other chains than 0 run only if a filter jumps to them
    std::uint16_t protocol = 0;  ///< ETH_P_*, host order
    std::string kind;            ///< "bpf", "u32", ...
    std::string name;            ///< of kind bpf: of the program, as its loader set it
    std::uint32_t program = 0;   ///< of kind bpf: id of the program

    /// Whether they are the same filter, with the same program.
    [[nodiscard]] bool is(const Filter& other) const {
        return handle == other.handle && priority == other.priority && chain == other.chain && program == other.program;
    }
};

/// In the order in which they run. Empty without a clsact qdisc.
[[nodiscard]] Result<std::vector<Filter>> list_filters(int interface_index, Direction direction);

/// FLOWD_BUSY: a qdisc of another kind is in the place of clsact. Otherwise: whether there is a clsact qdisc.
[[nodiscard]] Result<bool> find_clsact(int interface_index);

/// A filter and where it is.
struct PlacedFilter {
    Direction direction = Direction::egress;
    Filter filter;
};

/// Removes the qdisc, with its filters, when it has no others than `ours`, in either direction. True: it was removed.
Result<bool> remove_clsact(int interface_index, std::span<const PlacedFilter> ours);

/// Removes one filter, provided that it still holds the program; FLOWD_NOT_FOUND otherwise.
Result<void> remove_filter(int interface_index, Direction direction, const Filter& filter);

/// Removes filters and the qdisc, by one request if it has no others: if this process is killed between the two, nobody
/// knows whose the qdisc is. True: the qdisc was removed. An error is the first one; the rest is removed all the same.
Result<bool> remove_with_qdisc(int interface_index, std::span<const PlacedFilter> ours);

/// The priority for a filter of ours: one that no third-party filter has, before all of them if possible. Administrators
/// and other programs often use priority 1, and remove it as a whole: it is used only if 2 would not be before all others.
[[nodiscard]] std::uint16_t free_priority(const std::vector<Filter>& third_party);

/// Runs the program in one direction until it is destroyed. If the process is killed, the filter stays; the next instance
/// finds it by handle and name.
class ClsactFilter {
  public:
    /// Among filters of the same priority the newest runs first. The handle must be free there. `with_qdisc`: adds the
    /// qdisc by the same request, so that no kill leaves one whose filter does not tell whose it is.
    [[nodiscard]] static Result<ClsactFilter> attach(int program, int interface_index, Direction direction,
                                                     std::uint32_t handle, std::uint16_t priority, bool with_qdisc);
    ClsactFilter(ClsactFilter&& other) noexcept;
    ClsactFilter& operator=(ClsactFilter&& other) noexcept;
    ClsactFilter(const ClsactFilter&) = delete;
    ClsactFilter& operator=(const ClsactFilter&) = delete;
    ~ClsactFilter();

    [[nodiscard]] const Filter& filter() const { return filter_; }
    [[nodiscard]] PlacedFilter placed() const { return {direction_, filter_}; }
    /// The filter is not removed when this is destroyed.
    void release() { interface_ = 0; }

  private:
    ClsactFilter(int interface_index, Direction direction, Filter filter)
        : interface_(interface_index), direction_(direction), filter_(std::move(filter)) {}
    int interface_ = 0;  // 0: nothing to detach
    Direction direction_ = Direction::egress;
    Filter filter_;
};

}  // namespace flowd::bpf
