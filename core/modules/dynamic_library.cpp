// SPDX-License-Identifier: Apache-2.0
#include "core/modules/dynamic_library.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <boost/dll/shared_library.hpp>
#include <string>
#include <string_view>

#include "core/modules/module.hpp"

namespace flowd::core {

namespace {

namespace dll = boost::dll;

/// The text between `open` and `close`; empty if either is missing.
std::string_view between(std::string_view text, std::string_view open, std::string_view close) {
    const std::size_t begin = text.find(open);
    if (begin == std::string_view::npos) return {};
    const std::string_view rest = text.substr(begin + open.size());
    const std::size_t end = rest.find(close);
    return end == std::string_view::npos ? std::string_view{} : rest.substr(0, end);
}

/// A different ABI major that this file exports; 0 if there is none.
unsigned other_major(const dll::shared_library& library) {
    constexpr unsigned last_tried = 32;
    for (unsigned major = 1; major <= last_tried; ++major)
        if (major != FLOWD_ABI_MAJOR && library.has(fmt::format("flowd_module_v{}", major))) return major;
    return 0;
}

}  // namespace

// The messages of glibc's dl-load.c, dl-version.c and dl-lookup.c.
Error explain_dlerror(std::string_view message, const std::filesystem::path& file) {
    const std::string_view subject = message.substr(0, message.find(": "));
    if (message.find("cannot open shared object file") != std::string_view::npos && subject != file.native())
        return refused(
            fmt::format("it needs the library {}, which is not installed", subject),
            fmt::format("install the package that has it: dnf install '*/{0}', or apt-file search {0}", subject));
    if (const auto version = between(message, "version `", "'"); !version.empty())
        return refused(fmt::format("it needs version {} of {}, which is newer than the one installed", version,
                                   std::filesystem::path(subject).filename().string()),
                       "install the module built for this distribution, or update the library");
    constexpr std::string_view undefined = "undefined symbol: ";
    if (const std::size_t at = message.find(undefined); at != std::string_view::npos) {
        const std::string_view rest = message.substr(at + undefined.size());
        return refused(
            fmt::format("it needs the symbol '{}', which none of its libraries has", rest.substr(0, rest.find(','))),
            "link the module with -Wl,-z,defs to find what it lacks, or update the library that should have it");
    }
    return refused(fmt::format("the dynamic linker refuses it: {}", message));
}

Result<flowd_module_function> load_entry(const std::filesystem::path& file) {
    // Never unloaded: a thread may be executing its code, and its static strings are used without copies.
    const auto mode =
        dll::load_mode::rtld_now | dll::load_mode::rtld_local | static_cast<dll::load_mode::type>(RTLD_NODELETE);
    dll::shared_library library;
    dll::fs::error_code error;
    ::dlerror();  // clears the error of an earlier call
    library.load(file, error, mode);
    if (error) {
        const char* message = ::dlerror();
        return explain_dlerror(message != nullptr ? message : error.message(), file);
    }
    if (library.has(FLOWD_MODULE_SYMBOL)) return &library.get<const flowd_module*(std::uint32_t)>(FLOWD_MODULE_SYMBOL);
    if (const unsigned major = other_major(library); major != 0)
        return refused(fmt::format("it exports flowd_module_v{}: it is for module ABI {}, this daemon speaks {}", major,
                                   major, FLOWD_ABI_MAJOR),
                       "install the module built for this version of flowd-cpp");
    return refused("it does not export " FLOWD_MODULE_SYMBOL,
                   "define it with FLOWD_EXPORT, and let the version script of flowd_add_module() export it");
}

}  // namespace flowd::core
