// SPDX-License-Identifier: Apache-2.0
// flowd/findings.hpp: problems that a component detects, and its explanations of single flows. Values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "flowd/abi/ext/explain.h"
#include "flowd/abi/ext/findings.h"
#include "flowd/sized.hpp"

namespace flowd {

/// A current problem. A healthy host has none.
struct Finding {
    flowd_level severity = FLOWD_LEVEL_WARNING;  ///< FLOWD_LEVEL_INFO, WARNING or ERROR
    const char* id = "";                         ///< stable, documented with the module: [a-z][a-z0-9-]*
    std::string subject = {};                    ///< what it concerns: "eth0"; with `id` it identifies the finding
    std::string found = {};                      ///< the actual state
    std::string expected = {};                   ///< the expected state
    std::string remedy = {};                     ///< one remedy
    std::int64_t since_ns = 0;                   ///< Unix time when it was first seen; 0: unknown
};

/// One fact about one flow. Borrows its texts.
struct Explanation {
    const char* verdict = "";                 ///< stable, documented with the module: [a-z][a-z0-9-]*
    std::string_view subject = {};            ///< what it concerns, as "eth0"
    std::string_view text = {};               ///< one sentence
    std::int64_t time_ns = 0;                 ///< Unix time since when it is so; 0: unknown
    bool is_refusal = false;                  ///< something was not done, and this is why
    std::optional<std::uint32_t> label = {};  ///< IPv6 flow label of the flow's packets
    std::optional<flowd_tag> tag = {};        ///< that this instance gives to the flow
};

/// Receives the explanations of the flows of a batch. Valid during that call.
class Explanations {
  public:
    explicit Explanations(const flowd_explanations* sink) : sink_(sink) {}

    /// `flow`: index in the batch.
    flowd_result add(std::size_t flow, const Explanation& what) {
        std::uint32_t flags = 0;
        if (what.is_refusal) flags |= FLOWD_EXPLAINED_NOT;
        if (what.label) flags |= FLOWD_EXPLAINED_LABEL;
        if (what.tag) flags |= FLOWD_EXPLAINED_TAG;
        const flowd_explanation raw{sizeof raw,
                                    static_cast<std::uint32_t>(flow),
                                    what.verdict,
                                    to_c(what.subject),
                                    to_c(what.text),
                                    what.time_ns,
                                    flags,
                                    what.label.value_or(0),
                                    what.tag.value_or(flowd_tag{})};
        return sink_->add(sink_, &raw);
    }

  private:
    const flowd_explanations* sink_;
};

}  // namespace flowd
