// SPDX-License-Identifier: Apache-2.0
// `flowd-cpp label`: converts tags to flow labels and scitag integers, and back. Pure functions; results are JSON objects.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/registry.hpp"
#include "core/config/tag_text.hpp"
#include "flowd/result.hpp"

namespace flowd::core::cli {

/// An id, or a name in the registry. FLOWD_INVALID: no such name.
[[nodiscard]] Result<std::uint32_t> experiment_of(std::string_view text, const Registry& registry);

/// All labels of a tag, one for each value of the entropy bits. The tag must fit a label.
[[nodiscard]] std::vector<std::uint32_t> labels_of(flowd_tag tag);

/// Both by id or by name in the registry. `all`: also the 32 labels that the entropy bits allow.
/// FLOWD_INVALID: no such name, or an id exceeds the 9 or 6 bits of the label.
[[nodiscard]] Result<std::string> encode_label(std::string_view experiment, std::string_view activity, bool all,
                                               const Registry& registry);

/// `value`: decimal or 0x hexadecimal; a flow label, or a scitag integer if `is_scitag`. If the value looks like the
/// other of the two, "hint", or the hint of the error, says so. A label whose tag is not in the registry is not shown as
/// an experiment: most such labels were chosen at random by a kernel.
[[nodiscard]] Result<std::string> decode_label(std::string_view value, bool is_scitag, const Registry& registry);
/// The same as one line of text.
[[nodiscard]] Result<std::string> label_line(std::string_view value, bool is_scitag, const Registry& registry);

/// The labels in a line of another tool's output, as views into it: the numbers after "flowlabel", "flow label" or
/// "ipv6.flow"; without these words, all words, if each is a number.
[[nodiscard]] std::vector<std::string_view> labels_in(std::string_view text);

/// Exports the registered tags for another tool. `tool`: clickhouse (CSV with every label), pmacct (a map of tags),
/// wireshark (a dissector of labels and fireflies in Lua).
[[nodiscard]] std::string export_labels(std::string_view tool, const Registry& registry);

}  // namespace flowd::core::cli
