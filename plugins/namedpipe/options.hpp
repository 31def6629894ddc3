// SPDX-License-Identifier: Apache-2.0
// Options of the namedpipe plugin: flowd-go's.
#pragma once

#include <cstdint>
#include <filesystem>

#include "flowd/module.hpp"

namespace flowd::namedpipe {

struct Options {
    std::filesystem::path pipe_path;
    std::uint32_t buff_size = 65536;
    std::uint32_t max_readers = 5;
    static const Table<Options>& table();
    static void validate(const Options& options, Problems& problems);
};

}  // namespace flowd::namedpipe
