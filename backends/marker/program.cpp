// SPDX-License-Identifier: Apache-2.0
#include "backends/marker/program.hpp"

#include <span>
#include <utility>

#include "marker.skel.h"

namespace flowd::marker {
namespace {

Result<bpf::Object> open(const std::string& path, bpf::LogSink log) {
    if (!path.empty()) return bpf::Object::open_file(path, std::move(log));
    std::size_t size = 0;
    const auto* const elf = static_cast<const std::uint8_t*>(marker_bpf::elf_bytes(&size));
    return bpf::Object::open(std::span(elf, size), "marker", std::move(log));
}

}  // namespace

Program::Program(bpf::Object object, int ethernet, int raw_ip, FlowMap flows, SettingsMap settings,
                 bpf::Map<std::uint32_t, std::uint64_t> outcomes)
    : object_(std::move(object)),
      ethernet_(ethernet),
      raw_ip_(raw_ip),
      flows_(std::move(flows)),
      settings_(std::move(settings)),
      outcomes_(std::move(outcomes)) {}

Result<Program> Program::load(const std::string& path, const marker_config& config, std::uint32_t max_flows,
                              bpf::LogSink log) {
    auto object = open(path, std::move(log));
    if (!object) return std::move(object).error();
    if (auto done = object->set_max_entries(MARKER_FLOWS_MAP, max_flows); !done) return std::move(done).error();
    if (auto done = object->set_constants(config); !done) return std::move(done).error();
    if (auto done = object->load(); !done) return std::move(done).error();

    auto ethernet = object->program(MARKER_ETHERNET_PROGRAM);
    if (!ethernet) return std::move(ethernet).error();
    auto raw_ip = object->program(MARKER_RAW_IP_PROGRAM);
    if (!raw_ip) return std::move(raw_ip).error();
    auto flows = object->map<flow_key, marker_flow>(MARKER_FLOWS_MAP);
    if (!flows) return std::move(flows).error();
    auto settings = object->map<std::uint32_t, marker_settings>(MARKER_SETTINGS_MAP);
    if (!settings) return std::move(settings).error();
    auto outcomes = object->map<std::uint32_t, std::uint64_t>(MARKER_OUTCOMES_MAP);
    if (!outcomes) return std::move(outcomes).error();
    return Program(*std::move(object), *ethernet, *raw_ip, *std::move(flows), *std::move(settings), *std::move(outcomes));
}

Result<Outcomes> Program::outcomes() const {
    Outcomes packets{};
    for (std::uint32_t outcome = 0; outcome < MARKER_OUTCOMES; ++outcome) {
        auto sum = outcomes_.sum(outcome);
        if (!sum) return std::move(sum).error();
        packets[outcome] = *sum;
    }
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
