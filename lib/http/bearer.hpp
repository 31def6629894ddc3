// SPDX-License-Identifier: Apache-2.0
// lib/http/bearer.hpp: a bearer token (RFC 6750) kept in a file. Thread-aware, not thread-safe.
#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "flowd/result.hpp"

namespace flowd::http {

class Bearer {
  public:
    /// One line of 16 to 512 visible ASCII characters, in a file that not everybody may read.
    [[nodiscard]] static Result<Bearer> from_file(const std::filesystem::path& path);

    /// Whether the value of an Authorization header carries the token. Takes as long for a wrong one as for the right one
    /// of the same length.
    [[nodiscard]] bool allows(std::string_view authorization) const;
    /// Reads the file again if it has changed. On an error the old token stays in force.
    [[nodiscard]] Result<void> refresh();

  private:
    explicit Bearer(std::filesystem::path path) : path_(std::move(path)) {}
    [[nodiscard]] Result<void> read();

    std::filesystem::path path_;
    std::string token_;
    struct stat seen_ {};
};

}  // namespace flowd::http
