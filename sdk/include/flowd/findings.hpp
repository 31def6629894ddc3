// SPDX-License-Identifier: Apache-2.0
// flowd/findings.hpp: problems that a component detects, and its explanations of single flows. Values.
#pragma once

#include <cstddef>
#include <cstdint>
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

/// Receives the explanations of the flows of a batch. Valid during that call.
class Explanations {
  public:
    explicit Explanations(const flowd_explanations* sink) : sink_(sink) {}

    /// `flow`: index in the batch. `verdict`: stable, documented with the module: [a-z][a-z0-9-]*. `subject`: what it
    /// concerns, as "eth0". `text`: one sentence. `time_ns`: Unix time since when it is so; 0: unknown.
    flowd_result add(std::size_t flow, const char* verdict, std::string_view subject, std::string_view text,
                     std::int64_t time_ns = 0) {
        const flowd_explanation raw{sizeof raw, static_cast<std::uint32_t>(flow), verdict, to_c(subject), to_c(text),
                                    time_ns};
        return sink_->add(sink_, &raw);
    }

  private:
    const flowd_explanations* sink_;
};

}  // namespace flowd
