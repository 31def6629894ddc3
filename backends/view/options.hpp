// SPDX-License-Identifier: Apache-2.0
// Options of the view backend.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "flowd/module.hpp"
#include "lib/http/entrance.hpp"

namespace flowd::view {

struct Options : http::EntranceOptions {
    std::uint16_t port = 8090;
    std::optional<std::filesystem::path> socket_path;
    std::string socket_mode = "0660";
    std::vector<std::string> host_names;

    [[nodiscard]] bool listens_at_tcp() const { return port != 0; }

    static const Table<Options>& table();
    static void validate(const Options& options, Problems& problems);
};

/// Whether a request with this Host is from a page of ours: its name is localhost, a loopback address, or one of `names`.
/// A page of another site whose name resolves to this host (DNS rebinding) has its own name.
[[nodiscard]] bool is_own_host(std::string_view host, const std::vector<std::string>& names);

}  // namespace flowd::view
