// SPDX-License-Identifier: Apache-2.0
// flowd.cfg, as `flowd-cpp migrate` reads it: no input is executed, and what is read has no control characters.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/setup/migration.hpp"

namespace flowd::core {
namespace {

void require(bool truth) {
    if (!truth) std::abort();
}

void judge(const YamlNode& node) {
    require(std::none_of(node.text.begin(), node.text.end(), [](char c) { return c >= 0 && c < ' ' && c != '\t'; }));
    for (const YamlNode& item : node.items) judge(item);
    for (const YamlNode::Entry& entry : node.entries) judge(entry.value);
}

}  // namespace
}  // namespace flowd::core

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto read = flowd::core::read_assignments({reinterpret_cast<const char*>(data), size}, "flowd.cfg");
    if (read)
        flowd::core::judge(*read);
    else
        flowd::core::require(!read.error().message.empty() && !read.error().hint.empty());
    return 0;
}
