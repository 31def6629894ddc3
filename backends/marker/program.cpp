// SPDX-License-Identifier: Apache-2.0
#include "backends/marker/program.hpp"

#include <algorithm>
#include <fstream>
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

/// Of this network namespace (ip(7), ip_local_port_range).
std::uint32_t first_ephemeral_port() {
    constexpr std::uint32_t linux_default = 32768;
    std::ifstream file("/proc/sys/net/ipv4/ip_local_port_range");
    std::uint32_t first = 0;
    return file >> first ? first : linux_default;
}

marker_config config_of(const Options& options) {
    marker_config config{};
    config.carriers = carriers_of(options.strategy);
    config.keep_explicit = options.policy == Policy::keep_explicit ? 1 : 0;
    config.replace_dscp = options.replace_dscp ? 1 : 0;
    config.forwarded = options.forwarded ? 1 : 0;
    config.buckets = KernelFlows::buckets_for(options.max_flows);
    config.ephemeral = first_ephemeral_port();
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

Program::Program(bpf::Object object, int ethernet, int flows, int socket_tags, SettingsMap settings, DscpMap dscp,
                 CountsMap counts, ExperimentsMap experiments, TalkersMap talkers)
    : object_(std::move(object)),
      ethernet_(ethernet),
      flows_(flows),
      socket_tags_(socket_tags),
      settings_(std::move(settings)),
      dscp_(std::move(dscp)),
      counts_(std::move(counts)),
      experiments_(std::move(experiments)),
      talkers_(std::move(talkers)) {}

Result<Program> Program::load(const std::string& path, const marker_config& config, const Pins* pins, bpf::LogSink log) {
    auto object = open(path, std::move(log));
    if (!object) return std::move(object).error();
    if (auto done = object->set_max_entries(MARKER_FLOWS_MAP, config.buckets); !done) return std::move(done).error();
    if (auto done = object->set_constants(config); !done) return std::move(done).error();
    if (auto done = object->defer(MARKER_RAW_IP_PROGRAM); !done) return std::move(done).error();
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
    auto experiments = object->map<std::uint32_t, marker_experiments>(MARKER_EXPERIMENTS_MAP);
    if (!experiments) return std::move(experiments).error();
    auto talkers = object->map<marker_talker, std::uint64_t>(MARKER_TALKERS_MAP);
    if (!talkers) return std::move(talkers).error();
    if (pins != nullptr && !is_taken_over) {
        if (auto done = pins->pin_map(MARKER_FLOWS_MAP, flows->fd()); !done) return std::move(done).error();
        if (auto done = pins->pin_map(MARKER_SETTINGS_MAP, settings->fd()); !done) return std::move(done).error();
    }
    Program program(*std::move(object), *ethernet, flows->fd(), socket_tags->fd(), *std::move(settings), *std::move(dscp),
                    *std::move(counts), *std::move(experiments), *std::move(talkers));
    program.is_taken_over_ = is_taken_over;
    return program;
}

Result<Program> load_program(const Options& options, bpf::LogSink log, const Pins* pins) {
    auto program = Program::load(options.program_path, config_of(options), pins, std::move(log));
    if (!program) return program;
    if (auto done = fill_dscp(program->dscp(), options.dscp_map); !done) return std::move(done).error();
    return program;
}

Result<int> Program::raw_ip() {
    return object_.program(MARKER_RAW_IP_PROGRAM);
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
    const auto sum = counts(interface_index);
    if (!sum) return sum.error();
    Outcomes packets{};
    std::copy_n(std::begin(sum->packets), packets.size(), packets.begin());
    return packets;
}

Result<marker_counts> Program::counts(int interface_index) const {
    auto by_cpu = counts_.per_cpu(static_cast<std::uint32_t>(interface_index) % MARKER_COUNTED_INTERFACES);
    if (!by_cpu) return std::move(by_cpu).error();
    marker_counts sum{};
    for (const marker_counts& counts : *by_cpu)
        for (std::size_t outcome = 0; outcome < MARKER_OUTCOMES; ++outcome) {
            sum.packets[outcome] += counts.packets[outcome];
            for (std::size_t family = 0; family < MARKER_FAMILIES; ++family)
                sum.bytes[family][outcome] += counts.bytes[family][outcome];
        }
    return sum;
}

Result<std::array<std::uint64_t, MARKER_EXPERIMENTS>> Program::experiments() const {
    std::array<std::uint64_t, MARKER_EXPERIMENTS> all{};
    const auto by_cpu = experiments_.per_cpu(0);
    if (!by_cpu) return by_cpu.error();
    for (const marker_experiments& one : *by_cpu)
        for (std::size_t i = 0; i < all.size(); ++i) all[i] += one.bytes[i];
    return all;
}

Result<std::vector<std::pair<marker_talker, std::uint64_t>>> Program::talkers() const {
    std::vector<std::pair<marker_talker, std::uint64_t>> all;
    talkers_.for_each_key(MARKER_TALKERS, [&](const marker_talker& talker) {
        if (const auto samples = talkers_.lookup(talker))
            all.emplace_back(talker, *samples);  // else it was evicted meanwhile
    });
    return all;
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
