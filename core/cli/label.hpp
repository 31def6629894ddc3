// SPDX-License-Identifier: Apache-2.0
// `flowd-cpp label`: tags to flow labels and scitag integers, and back. Pure functions; the results are JSON objects.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/registry.hpp"
#include "flowd/result.hpp"

namespace flowd::core::cli {

/// An id, or a name of the registry. FLOWD_INVALID: no such name.
[[nodiscard]] Result<std::uint32_t> experiment_of(std::string_view text, const Registry& registry);

/// "0x30038"
[[nodiscard]] std::string label_text(std::uint32_t label);
/// The labels that the entropy bits allow; the tag fits a label.
[[nodiscard]] std::vector<std::uint32_t> labels_of(flowd_tag tag);

/// Each by id or by name of the registry. `all`: also the 32 labels that the entropy bits allow.
/// FLOWD_INVALID: no such name, or more than the label's 9 and 6 bits hold.
[[nodiscard]] Result<std::string> encode_label(std::string_view experiment, std::string_view activity, bool all,
                                               const Registry& registry);

/// `value`: decimal or 0x hexadecimal; a flow label, or a scitag integer when `is_scitag`. If the value looks like the
/// other of the two, "hint", or the hint of the error, says so. A label whose tag is not in the registry is not shown as an
/// experiment: most of them are labels that a kernel chose at random.
[[nodiscard]] Result<std::string> decode_label(std::string_view value, bool is_scitag, const Registry& registry);
/// The same as one line of text.
[[nodiscard]] Result<std::string> label_line(std::string_view value, bool is_scitag, const Registry& registry);

/// The labels in a line that another tool printed, as views into it: the numbers behind "flowlabel", "flow label" or
/// "ipv6.flow"; in text without these, all words, if each is a number.
[[nodiscard]] std::vector<std::string_view> labels_in(std::string_view text);

/// The registered tags for another tool. `tool`: clickhouse (CSV with every label), pmacct (a map of tags), wireshark (a
/// dissector of labels and fireflies in Lua).
[[nodiscard]] std::string export_labels(std::string_view tool, const Registry& registry);

}  // namespace flowd::core::cli
