// SPDX-License-Identifier: Apache-2.0
// A module with its own copy of lib/bpf.
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>

#include "lib/bpf/messages.hpp"
#include "lib/bpf/object.hpp"

namespace {

thread_local std::string heard;
const flowd::bpf::LogSink sink = [](flowd_level, std::string_view line) { heard.append(line).append("\n"); };
thread_local std::optional<flowd::bpf::Messages> messages;

}  // namespace

/// Captures on this thread from now on.
FLOWD_EXPORT void begin_capture() {
    heard.clear();
    messages.emplace(sink);
}

/// Everything since then; empties it.
FLOWD_EXPORT const char* end_capture() {
    messages.reset();
    return heard.c_str();
}

/// Makes libbpf complain, without a capture of its own. The name is that of the object.
FLOWD_EXPORT void complain(const char* name);

#include <bpf/libbpf.h>

void complain(const char* name) {
    const std::array<std::uint8_t, 64> garbage{};
    bpf_object_open_opts options{};
    options.sz = sizeof options;
    options.object_name = name;
    (void)bpf_object__open_mem(garbage.data(), garbage.size(), &options);
}
