// SPDX-License-Identifier: Apache-2.0
#include "core/modules/module.hpp"

#include <strings.h>
#include <sys/stat.h>

#include <algorithm>

namespace flowd::core {

std::optional<FileStamp> stamp_of(const std::filesystem::path& file) {
    struct stat status {};
    if (::stat(file.c_str(), &status) != 0) return std::nullopt;
    return FileStamp{status.st_dev, status.st_ino, status.st_size,
                     status.st_mtim.tv_sec * std::int64_t{1'000'000'000} + status.st_mtim.tv_nsec};
}

std::vector<std::string_view> Component::aliases() const {
    std::vector<std::string_view> list;
    for (const char* const* alias = table.aliases; alias != nullptr && *alias != nullptr; ++alias)
        list.emplace_back(*alias);
    return list;
}

bool Component::answers_to(std::string_view name_or_alias) const {
    const auto same = [&](std::string_view candidate) {
        return candidate.size() == name_or_alias.size() &&
               ::strncasecmp(candidate.data(), name_or_alias.data(), candidate.size()) == 0;
    };
    const auto list = aliases();
    return same(name()) || std::any_of(list.begin(), list.end(), same);
}

std::string_view to_string(ModuleState state) {
    switch (state) {
        case ModuleState::found:
            return "found";
        case ModuleState::loaded:
            return "loaded";
        case ModuleState::failed:
            break;
    }
    return "failed";
}

}  // namespace flowd::core
