// SPDX-License-Identifier: Apache-2.0
#include "lib/bpf/messages.hpp"

#include <bpf/libbpf.h>
#include <dlfcn.h>

#include <cstdarg>
#include <cstddef>
#include <cstdio>
#include <utility>

namespace flowd::bpf {
namespace {

thread_local Messages* capturing = nullptr;

int print(libbpf_print_level level, const char* format, va_list arguments);

/// Whether two functions are in one file.
bool same_file(const void* one, const void* other) {
    Dl_info first{}, second{};
    return ::dladdr(one, &first) != 0 && ::dladdr(other, &second) != 0 && first.dli_fbase == second.dli_fbase;
}

/// Makes this copy the head of the chain. Returns the copy behind it; null if that is libbpf's own function, which would
/// print to standard error.
libbpf_print_fn_t join_chain() {
    const libbpf_print_fn_t behind = libbpf_set_print(print);
    const bool is_libbpf =
        same_file(reinterpret_cast<const void*>(behind), reinterpret_cast<const void*>(libbpf_set_print));
    return is_libbpf ? nullptr : behind;
}

// The dynamic loader initialises one file at a time, so that none is lost from the chain. Modules are never unloaded.
const libbpf_print_fn_t next_in_chain = join_chain();

int print(libbpf_print_level level, const char* format, va_list arguments) {
    if (capturing == nullptr) return next_in_chain == nullptr ? 0 : next_in_chain(level, format, arguments);
    // The verifier's log may have megabytes; the reason is at its end.
    va_list again;
    va_copy(again, arguments);
    const int length = std::vsnprintf(nullptr, 0, format, arguments);
    std::string text(length > 0 ? static_cast<std::size_t>(length) : 0, '\0');
    std::vsnprintf(text.data(), text.size() + 1, format, again);
    va_end(again);
    capturing->take(level == LIBBPF_WARN, level == LIBBPF_DEBUG, text);
    return length;
}

/// NAME of "libbpf: prog 'NAME': ..."; otherwise empty.
std::string_view program_of(std::string_view line) {
    constexpr std::string_view prefix = "prog '";
    const auto begin = line.find(prefix);
    if (begin == std::string_view::npos) return {};
    const auto name = line.substr(begin + prefix.size());
    const auto end = name.find('\'');
    return end == std::string_view::npos ? std::string_view() : name.substr(0, end);
}

}  // namespace

Messages::Messages(const LogSink& sink) : sink_(sink), outer_(std::exchange(capturing, this)) {}

Messages::~Messages() {
    capturing = outer_;
}

void Messages::take(bool is_warning, bool is_debug, std::string_view text) {
    while (!text.empty()) {
        const auto end = text.find('\n');
        const auto line = text.substr(0, end);
        text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
        if (line.empty()) continue;
        // The error that follows repeats the warning of libbpf with its context.
        if (sink_) sink_(is_debug ? FLOWD_LEVEL_TRACE : FLOWD_LEVEL_DEBUG, line);
        if (is_warning) note(line);
    }
}

void Messages::note(std::string_view line) {
    // "-- BEGIN PROG LOAD LOG --" or, until libbpf 0.7, "-- BEGIN DUMP LOG ---".
    if (line.find("-- BEGIN ") != std::string_view::npos) {
        in_log_ = true;
        heard_.program = program_of(line);
    } else if (line.find("-- END ") != std::string_view::npos) {
        in_log_ = false;
    } else if (in_log_) {
        if (!line.starts_with("processed ")) heard_.verdict = line;
    } else {
        heard_.warning = line;
    }
}

}  // namespace flowd::bpf
