// SPDX-License-Identifier: Apache-2.0
#include "core/base/files.hpp"

#include <cerrno>
#include <fstream>

namespace flowd::core {

Result<std::string> read_file(const std::filesystem::path& file) {
    constexpr std::size_t largest = 4u << 20;
    std::error_code error;
    const bool is_regular = std::filesystem::is_regular_file(file, error);
    if (error) return Error::from_errno(error.value(), file.string());
    if (!is_regular) return Error{FLOWD_INVALID, file.string() + ": not a regular file"};
    std::ifstream stream(file, std::ios::binary);
    if (!stream) return Error::from_errno(errno, file.string());
    std::string text;
    for (std::size_t room = 16u << 10; text.size() <= largest && !stream.eof(); room *= 2) {
        const std::size_t had = text.size();
        text.resize(had + room);
        stream.read(text.data() + had, static_cast<std::streamsize>(room));
        if (stream.bad()) return Error{FLOWD_ERROR, file.string() + ": cannot be read"};
        text.resize(had + static_cast<std::size_t>(stream.gcount()));
    }
    if (text.size() > largest) return Error{FLOWD_LIMIT, file.string() + ": larger than 4 MiB"};
    return text;
}

}  // namespace flowd::core
