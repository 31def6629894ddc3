// SPDX-License-Identifier: Apache-2.0
// Whatever a catalog of components holds: it is read, and each entry is found under its names, or refused with a reason.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/config/catalog.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto catalog = flowd::core::Catalog::parse({reinterpret_cast<const char*>(data), size}, "catalog.yaml");
    if (!catalog) {
        if (catalog.error().message.empty()) std::abort();
        return 0;
    }
    for (const auto& entry : catalog->entries()) {
        if (catalog->find(entry.kind, entry.name) == nullptr) std::abort();
        for (const std::string& alias : entry.aliases)
            if (catalog->find(entry.kind, alias) == nullptr) std::abort();
    }
    return 0;
}
