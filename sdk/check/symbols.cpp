// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/symbols.hpp"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include <memory>
#include <string_view>

namespace flowd::check {

namespace {

struct Tables {
    const ElfW(Sym) * symbols = nullptr;
    const char* names = nullptr;
    const ElfW(Versym) * versions = nullptr;
    const std::uint32_t* gnu_hash = nullptr;
    const std::uint32_t* hash = nullptr;
};

/// glibc has relocated these addresses, musl has not; both are served.
const char* address(const link_map& map, ElfW(Addr) value) {
    return reinterpret_cast<const char*>(value < map.l_addr ? map.l_addr + value : value);
}

Tables tables_of(const link_map& map) {
    Tables tables;
    for (const ElfW(Dyn)* entry = map.l_ld; entry->d_tag != DT_NULL; ++entry) {
        const char* at = address(map, entry->d_un.d_ptr);
        switch (entry->d_tag) {
            case DT_SYMTAB:
                tables.symbols = reinterpret_cast<const ElfW(Sym)*>(at);
                break;
            case DT_STRTAB:
                tables.names = at;
                break;
            case DT_VERSYM:
                tables.versions = reinterpret_cast<const ElfW(Versym)*>(at);
                break;
            case DT_GNU_HASH:
                tables.gnu_hash = reinterpret_cast<const std::uint32_t*>(at);
                break;
            case DT_HASH:
                tables.hash = reinterpret_cast<const std::uint32_t*>(at);
                break;
            default:
                break;
        }
    }
    return tables;
}

/// The number of symbols is written only in the hash tables: DT_HASH has it, DT_GNU_HASH is walked to its last chain.
std::size_t count_symbols(const Tables& tables) {
    if (tables.hash != nullptr) return tables.hash[1];
    if (tables.gnu_hash == nullptr) return 0;
    const std::uint32_t buckets = tables.gnu_hash[0], first = tables.gnu_hash[1], bloom_words = tables.gnu_hash[2];
    const auto* bucket = reinterpret_cast<const std::uint32_t*>(reinterpret_cast<const char*>(tables.gnu_hash + 4) +
                                                                bloom_words * sizeof(ElfW(Addr)));
    const std::uint32_t* chain = bucket + buckets;
    std::uint32_t last = 0;
    for (std::uint32_t i = 0; i < buckets; ++i) last = std::max(last, bucket[i]);
    if (last < first) return first;
    while ((chain[last - first] & 1u) == 0) ++last;
    return last + 1;
}

/// Sanitizers leave their runtime to the program.
bool is_of_sanitizer(std::string_view name) {
    for (const std::string_view prefix : {"__asan_", "__ubsan_", "__tsan_", "__sanitizer_", "__lsan_"})
        if (name.substr(0, prefix.size()) == prefix) return true;
    return false;
}

}  // namespace

Result<Symbols> symbols_of(const std::filesystem::path& loaded) {
    struct Close {
        void operator()(void* handle) const { ::dlclose(handle); }
    };
    const std::unique_ptr<void, Close> handle(::dlopen(loaded.c_str(), RTLD_NOW | RTLD_NOLOAD));
    link_map* map = nullptr;
    if (!handle || ::dlinfo(handle.get(), RTLD_DI_LINKMAP, &map) != 0)
        return Error{FLOWD_ERROR, "its dynamic symbols cannot be read", {}};
    const Tables tables = tables_of(*map);
    if (tables.symbols == nullptr || tables.names == nullptr) return Error{FLOWD_ERROR, "it has no dynamic symbols", {}};

    Symbols found;
    const std::size_t count = count_symbols(tables);
    for (std::size_t i = 1; i < count; ++i) {
        const ElfW(Sym)& symbol = tables.symbols[i];
        const std::string name = tables.names + symbol.st_name;
        const auto binding = ELF64_ST_BIND(symbol.st_info);
        if (symbol.st_shndx != SHN_UNDEF) {
            if (binding != STB_LOCAL && symbol.st_shndx != SHN_ABS) found.exported.push_back(name);
            continue;
        }
        // A symbol with a version has the library that has to have it written beside it.
        const bool versioned = tables.versions != nullptr && (tables.versions[i] & 0x7fff) > 1;
        if (binding == STB_WEAK || versioned || is_of_sanitizer(name)) continue;
        ::dlerror();
        (void)::dlsym(handle.get(), name.c_str());
        if (::dlerror() != nullptr) found.unresolved.push_back(name);
    }
    return found;
}

}  // namespace flowd::check
