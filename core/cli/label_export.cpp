// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "core/base/text.hpp"
#include "core/cli/label.hpp"
#include "core/cli/table.hpp"
#include "flowd/label.hpp"

namespace flowd::core::cli {
namespace {

/// Calls `row(tag, experiment name, activity name)` for each registered tag that fits a label.
template <typename Row>
void for_each_tag(const Registry& registry, Row row) {
    for (const auto& [experiment, entry] : registry.experiments())
        for (const auto& [activity, name] : entry.activities)
            if (const flowd_tag tag{experiment, activity}; label::encode(tag)) row(tag, entry.name, name);
}

/// One row per label, because the dictionaries of Akvorado compare a column without a mask.
std::string for_clickhouse(const Registry& registry) {
    std::string text = "label,experiment_id,experiment,activity_id,activity\n";
    for_each_tag(registry, [&](flowd_tag tag, std::string_view experiment, std::string_view activity) {
        for (const std::uint32_t label : labels_of(tag))
            text += fmt::format("{},{},{},{},{}\n", label, tag.experiment, csv_quoted(experiment), tag.activity,
                                csv_quoted(activity));
    });
    return text;
}

std::string for_pmacct(const Registry& registry) {
    std::string text =
        "! SciTags for the pre_tag_map of pmacctd, nfacctd and sfacctd: the tag is the scitag (experiment * 64 + "
        "activity).\n"
        "! Written by: flowd-cpp label export --for pmacct\n";
    for_each_tag(registry, [&](flowd_tag tag, std::string_view experiment, std::string_view activity) {
        text += fmt::format("! {}: {}\nset_tag={} filter='ip6[0:4] & 0x{:05x} = 0x{:05x}'\n", escaped(experiment),
                            escaped(activity), label::scitag(tag), label::semantic_mask, *label::encode(tag));
    });
    return text;
}

std::string lua_text(std::string_view text) {
    std::string quoted = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || c == '"' || c == '\\')
            quoted += fmt::format("\\{:03}", byte);
        else
            quoted += c;
    }
    return quoted + '"';
}

constexpr std::string_view lua_head =
    R"(-- SciTags in Wireshark and tshark: the tags in IPv6 flow labels, and fireflies.
-- Written by: flowd-cpp label export --for wireshark
-- Copy it to ~/.local/lib/wireshark/plugins, or: tshark -X lua_script:FILE
local registry = {
)";

// Arithmetic instead of bit operations, because their library differs between the Lua versions of Wireshark.
constexpr std::string_view lua_tail = R"lua(}

local function reverse(bits)
  local reversed = 0
  for _ = 1, 9 do
    reversed = reversed * 2 + bits % 2
    bits = math.floor(bits / 2)
  end
  return reversed
end

local function names(experiment, activity)
  local entry = registry[experiment]
  return entry and entry.name, entry and entry[activity]
end

local scitags = Proto("scitags", "SciTags")
scitags.fields.experiment = ProtoField.uint32("scitags.experiment", "Experiment")
scitags.fields.experiment_name = ProtoField.string("scitags.experiment_name", "Experiment name")
scitags.fields.activity = ProtoField.uint32("scitags.activity", "Activity")
scitags.fields.activity_name = ProtoField.string("scitags.activity_name", "Activity name")
scitags.fields.scitag = ProtoField.uint32("scitags.scitag", "Scitag")
local flow_label = Field.new("ipv6.flow")

-- A label without a registered tag is not shown: most of them were chosen at random by a kernel.
function scitags.dissector(_, _, tree)
  for _, info in ipairs({ flow_label() }) do
    local label = info.value
    local experiment, activity = reverse(math.floor(label / 512) % 512), math.floor(label / 4) % 64
    local experiment_name, activity_name = names(experiment, activity)
    if activity_name then
      local item = tree:add(scitags, info.range, string.format("SciTags: %s, %s", experiment_name, activity_name))
      item:add(scitags.fields.experiment, info.range, experiment)
      item:add(scitags.fields.experiment_name, info.range, experiment_name)
      item:add(scitags.fields.activity, info.range, activity)
      item:add(scitags.fields.activity_name, info.range, activity_name)
      item:add(scitags.fields.scitag, info.range, experiment * 64 + activity)
    end
  end
end
register_postdissector(scitags)

local firefly = Proto("firefly", "SciTags Firefly")
firefly.fields.header = ProtoField.string("firefly.header", "Header")
firefly.fields.state = ProtoField.string("firefly.state", "State")
firefly.fields.source = ProtoField.string("firefly.source", "Source")
firefly.fields.destination = ProtoField.string("firefly.destination", "Destination")
firefly.fields.protocol = ProtoField.string("firefly.protocol", "Protocol")
firefly.fields.experiment = ProtoField.uint32("firefly.experiment", "Experiment")
firefly.fields.experiment_name = ProtoField.string("firefly.experiment_name", "Experiment name")
firefly.fields.activity = ProtoField.uint32("firefly.activity", "Activity")
firefly.fields.activity_name = ProtoField.string("firefly.activity_name", "Activity name")
firefly.fields.application = ProtoField.string("firefly.application", "Application")

function firefly.dissector(buffer, pinfo, tree)
  local text = buffer():raw()
  local start = text:find("{", 1, true)
  if not start then return 0 end
  local json = text:sub(start)
  local function word(name) return json:match('"' .. name .. '"%s*:%s*"([^"]*)"') end
  local function number(name)
    local digits = json:match('"' .. name .. '"%s*:%s*(%d+)')
    return digits and #digits < 10 and tonumber(digits)
  end
  local function endpoint(address, port)
    return address and port and (address:find(":", 1, true) and "[" .. address .. "]" or address) .. ":" .. port
  end
  local state = word("state")
  if not state then return 0 end
  local experiment, activity = number("experiment%-id"), number("activity%-id")
  local experiment_name, activity_name = names(experiment or 0, activity or 0)
  local found = {
    state = state, protocol = word("protocol"), application = word("application"),
    source = endpoint(word("src%-ip"), number("src%-port")),
    destination = endpoint(word("dst%-ip"), number("dst%-port")),
    experiment = experiment, experiment_name = experiment_name,
    activity = activity, activity_name = activity_name,
  }
  local item = tree:add(firefly, buffer())
  if start > 1 then item:add(firefly.fields.header, buffer(0, start - 1)) end
  for _, name in ipairs({ "state", "protocol", "source", "destination", "experiment", "experiment_name", "activity",
                          "activity_name", "application" }) do
    if found[name] then item:add(firefly.fields[name], buffer(start - 1), found[name]) end
  end
  Dissector.get("json"):call(buffer(start - 1):tvb(), pinfo, item)
  pinfo.cols.protocol = "FIREFLY"
  pinfo.cols.info = string.format("%s %s %s > %s, %s, %s", state, found.protocol or "?", found.source or "?",
    found.destination or "?", experiment_name or experiment or "?", activity_name or activity or "?")
  return buffer:len()
end
DissectorTable.get("udp.port"):add(10514, firefly)
)lua";

std::string for_wireshark(const Registry& registry) {
    std::string text(lua_head);
    for (const auto& [experiment, entry] : registry.experiments()) {
        text += fmt::format("  [{}] = {{ name = {}", experiment, lua_text(entry.name));
        for (const auto& [activity, name] : entry.activities) text += fmt::format(", [{}] = {}", activity, lua_text(name));
        text += " },\n";
    }
    return text + std::string(lua_tail);
}

}  // namespace

std::string export_labels(std::string_view tool, const Registry& registry) {
    if (tool == "clickhouse") return for_clickhouse(registry);
    if (tool == "pmacct") return for_pmacct(registry);
    return for_wireshark(registry);
}

}  // namespace flowd::core::cli
