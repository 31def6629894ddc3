// SPDX-License-Identifier: Apache-2.0
// Options of the api plugin: flowd-go's bindAddress and bindPort, limits, and access control.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "flowd/module.hpp"
#include "lib/http/entrance.hpp"

namespace flowd::api {

struct Options : http::EntranceOptions {
    std::uint16_t bind_port = 7777;
    std::optional<std::filesystem::path> socket_path;
    std::string socket_mode = "0660";
    std::uint32_t max_body = 1 << 20;
    std::chrono::milliseconds full_timeout{2000};
    std::chrono::milliseconds taken_timeout{5000};

    [[nodiscard]] bool listens_at_tcp() const { return bind_port != 0; }

    static const Table<Options>& table();
    static void validate(const Options& options, Problems& problems);
};

}  // namespace flowd::api
