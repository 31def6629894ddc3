// SPDX-License-Identifier: Apache-2.0
#include "core/host/directories.hpp"

#include <algorithm>
#include <cstdlib>

namespace flowd::core {

namespace {

std::string first_of(const char* variable) {
    const char* const value = std::getenv(variable);
    const std::string_view list = value == nullptr ? std::string_view() : std::string_view(value);
    const std::string_view first = list.substr(0, list.find(':'));
    return first.starts_with('/') ? std::string(first) : std::string();
}

}  // namespace

Directories Directories::from_environment(std::string_view work_dir) {
    return {work_dir.empty() ? first_of("STATE_DIRECTORY") : std::string(work_dir), first_of("RUNTIME_DIRECTORY")};
}

std::string instance_directory(std::string_view base, std::string_view kind, std::string_view key) {
    if (base.empty()) return {};
    std::string name(key);
    std::replace(name.begin(), name.end(), '/', '@');
    return std::string(base) + (base.ends_with('/') ? "" : "/") + std::string(kind) + "-" + name;
}

}  // namespace flowd::core
