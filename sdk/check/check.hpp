// SPDX-License-Identifier: Apache-2.0
// A conformance check: a stable name, the rule, and the function that checks it. Each runs in a separate process, so it may
// crash, hang or leak without affecting the others.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "flowd/abi/module.h"
#include "flowd/result.hpp"

namespace flowd::check {

class Subject;

struct Outcome {
    enum class Verdict { passed, failed, skipped };
    Verdict verdict = Verdict::passed;
    std::string message = {};  ///< why it failed or was skipped; of a passed one: a remark
    bool unusable = false;     ///< the module does not load, or the component has no options that it takes

    [[nodiscard]] static Outcome pass() { return {}; }
    /// What the check is about is optional, and this component does not have it.
    [[nodiscard]] static Outcome absent(std::string message) { return {Verdict::passed, std::move(message)}; }
    [[nodiscard]] static Outcome fail(std::string message) { return {Verdict::failed, std::move(message)}; }
    [[nodiscard]] static Outcome skip(std::string message) { return {Verdict::skipped, std::move(message)}; }
};

struct Check {
    std::string_view name;     ///< "stop-twice"; never reused for something else
    std::string_view promise;  ///< one line for --list
    unsigned kinds = 0;        ///< bits 1 << FLOWD_PLUGIN, ...; 0: concerns the module as a whole
    Outcome (*run)(Subject&) = nullptr;
};

/// What a check answers that needs options and has none: `error` is that of Subject::config.
[[nodiscard]] Outcome without_config(const Error& error);

inline constexpr unsigned plugins = 1u << FLOWD_PLUGIN;
inline constexpr unsigned backends = 1u << FLOWD_BACKEND;
inline constexpr unsigned enrichers = 1u << FLOWD_ENRICHER;
inline constexpr unsigned every_kind = plugins | backends | enrichers;

// The suite, by what is looked at.
[[nodiscard]] std::vector<Check> module_checks();     // file, note, symbols, descriptor, options
[[nodiscard]] std::vector<Check> life_checks();       // lifecycle, threads, descriptors, deadlines
[[nodiscard]] std::vector<Check> event_checks();      // what a backend or enricher is given
[[nodiscard]] std::vector<Check> core_checks();       // cores that are later, without extensions, or refuse
[[nodiscard]] std::vector<Check> extension_checks();  // what the module offers

}  // namespace flowd::check
