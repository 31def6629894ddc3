// SPDX-License-Identifier: Apache-2.0
// lib/diag/process.hpp: what /proc says about a process, for messages. Any thread.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace flowd::diag {

/// The name of the program, at most 15 bytes; empty if the process has ended. `process`: "/proc/1234".
[[nodiscard]] inline std::string name_of(const std::filesystem::path& process) {
    std::ifstream stream(process / "comm");
    std::string line;
    std::getline(stream, line);
    return line;
}

/// The words of its command line.
[[nodiscard]] inline std::vector<std::string> words_of(const std::filesystem::path& process) {
    std::ifstream stream(process / "cmdline");
    std::vector<std::string> words;
    for (std::string word; words.size() < 64 && std::getline(stream, word, '\0');) words.push_back(word);
    return words;
}

/// "xrootd.service" for the control group "/system.slice/xrootd.service"; empty if it is not in a unit of systemd.
[[nodiscard]] inline std::string unit_of(const std::filesystem::path& process) {
    std::ifstream stream(process / "cgroup");
    for (std::string line; std::getline(stream, line);)
        for (const std::filesystem::path& part : std::filesystem::path(line.substr(line.rfind(':') + 1)))
            if (part.extension() == ".service" || part.extension() == ".scope") return part.native();
    return {};
}

}  // namespace flowd::diag
