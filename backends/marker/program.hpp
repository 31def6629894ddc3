// SPDX-License-Identifier: Apache-2.0
// backends/marker/program.hpp: the marker's BPF programs and maps, loaded. One thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backends/marker/options.hpp"
#include "backends/marker/pins.hpp"
#include "bpf/marker_types.h"
#include "flowd/result.hpp"
#include "lib/bpf/map.hpp"
#include "lib/bpf/object.hpp"

namespace flowd::marker {

using SettingsMap = bpf::Map<std::uint32_t, marker_settings>;
using DscpMap = bpf::Map<marker_dscp_key, std::uint32_t>;
using Outcomes = std::array<std::uint64_t, MARKER_OUTCOMES>;

/// What the program requires of the kernel (lib/kernel/features.hpp).
inline constexpr std::array<std::string_view, 2> kernel_needs{"kernel", "BPF"};

class Program {
  public:
    /// `path` empty: the built-in object. The table has the buckets of the configuration. With `pins`, maps of the same
    /// shape that are pinned there are adopted; otherwise the program's maps are pinned.
    [[nodiscard]] static Result<Program> load(const std::string& path, const marker_config& config, const Pins* pins,
                                              bpf::LogSink log);

    [[nodiscard]] int ethernet() const { return ethernet_; }  ///< for devices with an Ethernet header; borrowed
    /// For devices whose packets begin with their IP header; loaded when first needed, borrowed.
    [[nodiscard]] Result<int> raw_ip();
    [[nodiscard]] int flows() const { return flows_; }              ///< map of marker_bucket; borrowed
    [[nodiscard]] int socket_tags() const { return socket_tags_; }  ///< map of socket_tag; borrowed
    [[nodiscard]] SettingsMap& settings() { return settings_; }
    /// Whether the flow table was adopted from a predecessor.
    [[nodiscard]] bool is_taken_over() const { return is_taken_over_; }
    [[nodiscard]] DscpMap& dscp() { return dscp_; }
    /// All packets so far by enum marker_outcome.
    [[nodiscard]] Result<Outcomes> outcomes() const;
    /// The same for one interface; includes interfaces that share its counters: see MARKER_COUNTED_INTERFACES.
    [[nodiscard]] Result<Outcomes> outcomes(int interface_index) const;
    /// The same with bytes.
    [[nodiscard]] Result<marker_counts> counts(int interface_index) const;
    /// Bytes that left with a tag, by experiment as it stands in a label: see label::reverse_experiment.
    [[nodiscard]] Result<std::array<std::uint64_t, MARKER_EXPERIMENTS>> experiments() const;
    /// Who sends without a tag, with the number of samples.
    [[nodiscard]] Result<std::vector<std::pair<marker_talker, std::uint64_t>>> talkers() const;

  private:
    using CountsMap = bpf::Map<std::uint32_t, marker_counts>;
    using ExperimentsMap = bpf::Map<std::uint32_t, marker_experiments>;
    using TalkersMap = bpf::Map<marker_talker, std::uint64_t>;
    Program(bpf::Object object, int ethernet, int flows, int socket_tags, SettingsMap settings, DscpMap dscp,
            CountsMap counts, ExperimentsMap experiments, TalkersMap talkers);
    bpf::Object object_;
    int ethernet_;
    int flows_;
    int socket_tags_;
    SettingsMap settings_;
    DscpMap dscp_;
    CountsMap counts_;
    ExperimentsMap experiments_;
    TalkersMap talkers_;
    bool is_taken_over_ = false;
};

/// The program for the options, with its constants and its map of DSCP values.
[[nodiscard]] Result<Program> load_program(const Options& options, bpf::LogSink log, const Pins* pins = nullptr);

/// Whether a mark was written.
[[nodiscard]] constexpr bool is_marked(std::uint32_t outcome) {
    return outcome >= MARKER_MARKED_FLOW && outcome <= MARKER_MARKED_FRAGMENT;
}

/// The name of an outcome in status and metrics, such as "markedFlow".
[[nodiscard]] const char* outcome_name(std::uint32_t outcome);

}  // namespace flowd::marker
