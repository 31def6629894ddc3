// SPDX-License-Identifier: Apache-2.0
// lib/firefly/blocks.hpp: validates received blocks, so that they can be printed. A BlockReader belongs to one thread.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace flowd::firefly {

/// Prefix of the id of the attachment that holds a block; its name follows.
inline constexpr std::string_view block_attachment = "flowd.json/";

/// Whether a top-level member of this name is passed on as a block: neither part of the core nor `flowd`, 1 to 64 bytes of
/// visible ASCII that need no escape.
[[nodiscard]] bool is_block_name(std::string_view name);

struct NormalBlock {
    std::string json;
    std::optional<double> rtt_ms;  ///< netlink only
};

/// Checks and normalises one block. netlink is always an object and its `rtt` a float in ms, whichever program wrote it:
///   flowd ["established",{...,"tcp_info":{"rtt":ms}}]   flowd-go {"tcpInfo":{"rtt":us}}   XRootD {"rtt":ms}
class BlockReader {
  public:
    BlockReader();
    BlockReader(BlockReader&&) noexcept;
    BlockReader& operator=(BlockReader&&) noexcept;
    ~BlockReader();

    /// Empty for a name of the firefly's core members, an empty or overlong name, or invalid JSON.
    [[nodiscard]] std::optional<NormalBlock> normalise(std::string_view name, std::string_view json);

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace flowd::firefly
