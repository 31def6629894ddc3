// SPDX-License-Identifier: Apache-2.0
// Whatever a file in a module directory holds: its note is read within bounds, or the file is refused with a reason.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/modules/note.hpp"
#include "flowd/unique_fd.hpp"

namespace {

void judge(const flowd::Result<flowd::core::Note>& note) {
    if (!note) {
        if (note.error().message.empty() || note.error().code >= 0) std::abort();
        return;
    }
    if (note->abi_major == 0 || note->name.empty() || note->version.empty() || note->components.empty() ||
        note->components.size() > flowd::core::max_components)
        std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const flowd::UniqueFd file(::memfd_create("module.so", MFD_CLOEXEC));
    if (!file || ::write(file.get(), data, size) != static_cast<ssize_t>(size)) return 0;
    judge(flowd::core::read_note("/proc/self/fd/" + std::to_string(file.get())));
    judge(flowd::core::parse_note({reinterpret_cast<const char*>(data), size}));
    return 0;
}
