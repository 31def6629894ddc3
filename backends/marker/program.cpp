// SPDX-License-Identifier: Apache-2.0
#include "backends/marker/program.hpp"

#include <optional>
#include <span>
#include <utility>

#include "backends/marker/kernel_flows.hpp"
#include "backends/marker/marks.hpp"
#include "bpf/socket_tag.h"
#include "marker.skel.h"

namespace flowd::marker {
namespace {

Result<bpf::Object> open(const std::string& path, bpf::LogSink log) {
    if (!path.empty()) return bpf::Object::open_file(path, std::move(log));
    std::size_t size = 0;
    const auto* const elf = static_cast<const std::uint8_t*>(marker_bpf::elf_bytes(&size));
    return bpf::Object::open(std::span(elf, size), "marker", std::move(log));
}

marker_config config_of(const Options& options) {
    marker_config config{};
    config.carriers = carriers_of(options.strategy);
    config.keep_explicit = options.policy == Policy::keep_explicit ? 1 : 0;
    config.replace_dscp = options.replace_dscp ? 1 : 0;
    config.forwarded = options.forwarded ? 1 : 0;
    config.buckets = KernelFlows::buckets_for(options.max_flows);
    fill_labels(config);
    return config;
}

Result<void> fill_dscp(DscpMap& map, const std::vector<DscpRule>& rules) {
    for (const DscpRule& rule : rules)
        if (auto done = map.update({rule.experiment, rule.activity.value_or(MARKER_ANY_ACTIVITY)}, rule.dscp); !done)
            return done;
    return {};
}

}  // namespace

Program::Program(bpf::Object object, int ethernet, int raw_ip, int flows, int socket_tags, SettingsMap settings,
                 DscpMap dscp, CountsMap counts)
    : object_(std::move(object)),
      ethernet_(ethernet),
      raw_ip_(raw_ip),
      flows_(flows),
      socket_tags_(socket_tags),
      settings_(std::move(settings)),
      dscp_(std::move(dscp)),
      counts_(std::move(counts)) {}

Result<Program> Program::load(const std::string& path, const marker_config& config, const Pins* pins, bpf::LogSink log) {
    auto object = open(path, std::move(log));
    if (!object) return std::move(object).error();
    if (auto done = object->set_max_entries(MARKER_FLOWS_MAP, config.buckets); !done) return std::move(done).error();
    if (auto done = object->set_constants(config); !done) return std::move(done).error();
    // Both maps or neither: the settings say whether the table is in use.
    std::optional<UniqueFd> kept_flows;
    std::optional<UniqueFd> kept_settings;
    if (pins != nullptr) {
        kept_flows = pins->map(MARKER_FLOWS_MAP, sizeof(marker_bucket), config.buckets);
        kept_settings = pins->map(MARKER_SETTINGS_MAP, sizeof(marker_settings), 1);
    }
    const bool is_taken_over = kept_flows && kept_settings;
    if (is_taken_over) {
        if (auto done = object->reuse_map(MARKER_FLOWS_MAP, kept_flows->get()); !done) return std::move(done).error();
        if (auto done = object->reuse_map(MARKER_SETTINGS_MAP, kept_settings->get()); !done) return std::move(done).error();
    }
    if (auto done = object->load(kernel_needs); !done) return std::move(done).error();

    auto ethernet = object->program(MARKER_ETHERNET_PROGRAM);
    if (!ethernet) return std::move(ethernet).error();
    auto raw_ip = object->program(MARKER_RAW_IP_PROGRAM);
    if (!raw_ip) return std::move(raw_ip).error();
    auto flows = object->map<std::uint32_t, marker_bucket>(MARKER_FLOWS_MAP);
    if (!flows) return std::move(flows).error();
    auto socket_tags = object->map<int, socket_tag>(SOCKET_TAGS_MAP);
    if (!socket_tags) return std::move(socket_tags).error();
    auto settings = object->map<std::uint32_t, marker_settings>(MARKER_SETTINGS_MAP);
    if (!settings) return std::move(settings).error();
    auto dscp = object->map<marker_dscp_key, std::uint32_t>(MARKER_DSCP_MAP);
    if (!dscp) return std::move(dscp).error();
    auto counts = object->map<std::uint32_t, marker_counts>(MARKER_COUNTS_MAP);
    if (!counts) return std::move(counts).error();
    if (pins != nullptr && !is_taken_over) {
        if (auto done = pins->pin_map(MARKER_FLOWS_MAP, flows->fd()); !done) return std::move(done).error();
        if (auto done = pins->pin_map(MARKER_SETTINGS_MAP, settings->fd()); !done) return std::move(done).error();
    }
    Program program(*std::move(object), *ethernet, *raw_ip, flows->fd(), socket_tags->fd(), *std::move(settings),
                    *std::move(dscp), *std::move(counts));
    program.is_taken_over_ = is_taken_over;
    return program;
}

Result<Program> load_program(const Options& options, bpf::LogSink log, const Pins* pins) {
    auto program = Program::load(options.program_path, config_of(options), pins, std::move(log));
    if (!program) return program;
    if (auto done = fill_dscp(program->dscp(), options.dscp_map); !done) return std::move(done).error();
    return program;
}

Result<Outcomes> Program::outcomes() const {
    Outcomes sum{};
    for (int slot = 0; slot < static_cast<int>(MARKER_COUNTED_INTERFACES); ++slot) {
        auto packets = outcomes(slot);
        if (!packets) return std::move(packets).error();
        for (std::size_t outcome = 0; outcome < sum.size(); ++outcome) sum[outcome] += (*packets)[outcome];
    }
    return sum;
}

Result<Outcomes> Program::outcomes(int interface_index) const {
    auto by_cpu = counts_.per_cpu(static_cast<std::uint32_t>(interface_index) % MARKER_COUNTED_INTERFACES);
    if (!by_cpu) return std::move(by_cpu).error();
    Outcomes packets{};
    for (const marker_counts& counts : *by_cpu)
        for (std::size_t outcome = 0; outcome < packets.size(); ++outcome) packets[outcome] += counts.packets[outcome];
    return packets;
}

const char* outcome_name(std::uint32_t outcome) {
    switch (outcome) {
#define MARKER_OUTCOME_NAME(name, text) \
    case MARKER_##name:                 \
        return text;
        MARKER_OUTCOMES_LIST(MARKER_OUTCOME_NAME)
#undef MARKER_OUTCOME_NAME
        default:
            return "unknown";
    }
}

}  // namespace flowd::marker
