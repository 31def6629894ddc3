// SPDX-License-Identifier: Apache-2.0
#include "lib/firefly/flowd_member.hpp"
#include "lib/firefly/json_text.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <iterator>
#include <random>

namespace flowd::firefly {
namespace {

[[nodiscard]] std::string content_of(const char* path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// Clock ticks between the boot of the machine and the start of this process: field 22 of proc(5). The second field, the
/// name of the program, may contain anything, so fields are counted from its last parenthesis.
[[nodiscard]] std::string start_time() {
    const std::string line = content_of("/proc/self/stat");
    std::size_t at = line.rfind(')');
    for (int field = 2; field < 22 && at != std::string::npos; ++field) at = line.find(' ', at + 1);
    if (at == std::string::npos) return {};
    return line.substr(at + 1, line.find(' ', at + 1) - at - 1);
}

/// Daemons in containers may have the same process id.
[[nodiscard]] std::string process_namespace() {
    std::array<char, 64> text{};
    const ssize_t length = ::readlink("/proc/self/ns/pid", text.data(), text.size());
    return {text.data(), static_cast<std::size_t>(std::max<ssize_t>(length, 0))};
}

void append_id(std::string& out, std::uint64_t id) {
    constexpr std::string_view digits = "0123456789abcdef";
    for (int shift = 60; shift >= 0; shift -= 4) out.push_back(digits[id >> shift & 15u]);
}

}  // namespace

std::uint64_t this_boot() {
    // FNV-1a over values that identify this process.
    std::uint64_t hash = 0xcbf29ce484222325u;
    for (const std::string& part :
         {content_of("/proc/sys/kernel/random/boot_id"), process_namespace(), std::to_string(::getpid()), start_time()})
        for (const char c : part + "\n") hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    return hash;
}

Stream::Stream(std::uint64_t boot) : boot_(boot) {
    std::random_device device;
    stream_ = (std::uint64_t{device()} << 32 | device()) % number_limit;
}

bool Stream::number(std::string& out, std::string_view printed, const Path& path, std::size_t max_size) {
    const std::size_t begin = out.size();
    out.append(printed);
    out.pop_back();
    out.append(R"(,"flowd":{"boot":")");
    append_id(out, boot_);
    out.append(R"(","stream":)");
    append_number(out, stream_);
    out.append(R"(,"seq":)");
    append_number(out, seq_ + 1);
    out.append(R"(,"origin":")");
    append_id(out, path.origin);
    out.append(R"(","hops":)");
    append_number(out, path.hops);
    out.append("}}");
    if (out.size() - begin <= max_size) {
        ++seq_;
        return true;
    }
    out.resize(begin);
    out.append(printed);
    return false;
}

}  // namespace flowd::firefly
