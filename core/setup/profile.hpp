// SPDX-License-Identifier: Apache-2.0
// Profiles of `flowd-cpp setup`: a commented configuration, and questions about some of its values. They are data of the
// packages (share/flowd-cpp/profiles/*.yaml). Values, not bound to a thread.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/registry.hpp"
#include "flowd/result.hpp"

namespace flowd::core {

struct Question {
    enum class Choice { text, experiment, activity, interfaces };

    std::string name;                  ///< the command-line option without its hyphens
    std::vector<std::string> aliases;  ///< other names of that option
    std::vector<std::string> none;     ///< flags that mean the answer "none"
    std::string option;                ///< path of the value in the configuration
    std::string without;               ///< path of the key that the answer "none" removes
    Choice choice = Choice::text;
    std::string from;      ///< interfaces: a shell script that sets NIC_NAMES
    std::string fallback;  ///< the answer if none is given; empty: an answer is required
    std::string text;
    bool asked = true;  ///< on a terminal; false: only the command-line option

    [[nodiscard]] bool may_be_none() const { return !without.empty(); }
};

struct Profile {
    std::string name;
    std::string summary;
    std::vector<Question> questions;
    std::string configuration;

    using Answers = std::map<std::string, std::string>;  ///< by the name of the question
    /// The configuration with these answers. Ids of experiments and activities are replaced by their names.
    [[nodiscard]] std::string configured(const Answers& answers, const Registry& registry) const;
};

/// The profiles of a directory, by name, with an Error for each one that cannot be read.
struct Profiles {
    std::vector<Profile> profiles;
    std::vector<Error> errors;
    [[nodiscard]] const Profile* find(std::string_view name) const;
};
[[nodiscard]] Profiles load_profiles(const std::filesystem::path& directory);

/// {a, b, c} for "a, b c".
[[nodiscard]] std::vector<std::string> words_of(std::string_view text);

}  // namespace flowd::core
