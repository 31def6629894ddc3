// SPDX-License-Identifier: Apache-2.0
#include "lib/watch/socket_watch.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "bpf/socket_tag.h"
#include "lib/watch/cgroup.hpp"
#include "lib/watch/host_findings.hpp"
#include "lib/watch/link.hpp"
#include "watch.skel.h"

namespace flowd::watch {
namespace {

Result<bpf::Object> open_object(const WatchConfig& config) {
    if (!config.program_path.empty()) return bpf::Object::open_file(config.program_path, config.log);
    std::size_t size = 0;
    const auto* const elf = static_cast<const std::uint8_t*>(watch_bpf::elf_bytes(&size));
    return bpf::Object::open(std::span(elf, size), "watch", config.log);
}

SocketEvent read_event(const watch_event& raw) {
    SocketEvent event;
    event.opened = raw.kind == WATCH_OPENED;
    event.incoming = raw.direction == WATCH_INCOMING;
    event.decided = raw.verdict == WATCH_TAG;
    event.fin_received = raw.fin_received != 0;
    event.cookie = raw.cookie;
    event.time_ns = static_cast<std::int64_t>(raw.time_ns);
    event.local = {Address(raw.local), raw.local_port};
    event.remote = {Address(raw.remote), raw.remote_port};
    event.user = raw.user;
    event.cgroup = raw.cgroup;
    event.interface = raw.interface;
    event.tag = {raw.experiment, raw.activity};
    event.usage = {raw.bytes_sent,        raw.bytes_received, raw.segments_sent,
                   raw.segments_received, FLOWD_USAGE_KERNEL, FLOWD_USAGE_BYTES | FLOWD_USAGE_PACKETS};
    return event;
}

Result<std::uint64_t> own_network_namespace() {
    struct stat status {};
    if (::stat("/proc/thread-self/ns/net", &status) != 0)
        return Error::from_errno(errno, "reading this thread's network namespace");
    return static_cast<std::uint64_t>(status.st_ino);
}

}  // namespace

SocketWatch::SocketWatch(bpf::Object object, bpf::Ring ring, UniqueFd cgroup)
    : object_(std::move(object)), ring_(std::move(ring)), cgroup_(std::move(cgroup)) {}

Result<SocketWatch> SocketWatch::load(const WatchConfig& config, Visitor visitor) {
    auto network_namespace = own_network_namespace();
    if (!network_namespace) return std::move(network_namespace).error();
    auto cgroup = open_cgroup(config.cgroup);
    if (!cgroup) return std::move(cgroup).error();
    auto object = open_object(config);
    if (!object) return std::move(object).error();
    if (auto done = object->set_max_entries(WATCH_EVENTS_MAP, config.ring_bytes); !done) return std::move(done).error();
    if (config.socket_tags)
        if (auto done = object->reuse_map(SOCKET_TAGS_MAP, config.socket_tags.get()); !done) return std::move(done).error();
    if (config.predecessor != nullptr) {
        auto sockets = config.predecessor->object_.map<int, watch_state>(WATCH_SOCKETS_MAP);
        if (!sockets) return std::move(sockets).error();
        if (auto done = object->reuse_map(WATCH_SOCKETS_MAP, sockets->fd()); !done) return std::move(done).error();
    }
    if (auto done = object->load(kernel_needs); !done) return std::move(done).error();
    auto events = object->ring(WATCH_EVENTS_MAP);
    if (!events) return std::move(events).error();
    auto ring = bpf::Ring::open(*events, [visitor = std::move(visitor)](std::span<const std::byte> entry) {
        watch_event raw{};
        if (entry.size() < sizeof raw) return;
        std::memcpy(&raw, entry.data(), sizeof raw);
        visitor(read_event(raw));
    });
    if (!ring) return std::move(ring).error();
    SocketWatch watch(*std::move(object), *std::move(ring), *std::move(cgroup));
    watch.settings_.network_namespace = *network_namespace;
    watch.settings_.process = static_cast<__u32>(::getpid());
    return watch;
}

Result<void> SocketWatch::write_settings() {
    auto map = object_.map<std::uint32_t, watch_settings>(WATCH_SETTINGS_MAP);
    if (!map) return std::move(map).error();
    return map->update(0, settings_);
}

Result<void> SocketWatch::set_rules(std::span<const watch_rule> rules) {
    if (rules.size() > WATCH_MAX_RULES) return Error{FLOWD_LIMIT, "there are more rules than the BPF map can hold"};
    auto map = object_.map<std::uint32_t, watch_rule>(WATCH_RULES_MAP);
    if (!map) return std::move(map).error();
    // Writes the inactive half of the map, then makes it the active one.
    const std::uint32_t first = settings_.first_rule == 0 ? WATCH_MAX_RULES : 0;
    for (std::uint32_t i = 0; i < rules.size(); ++i)
        if (auto done = map->update(first + i, rules[i]); !done) return done;
    settings_.first_rule = first;
    settings_.rules = static_cast<__u32>(rules.size());
    return write_settings();
}

Result<void> SocketWatch::set_tags(std::span<const flowd_tag> tags, bool random) {
    if (tags.size() > WATCH_MAX_TAGS) return Error{FLOWD_LIMIT, "there are more tags than the BPF map can hold"};
    auto map = object_.map<std::uint32_t, watch_tag>(WATCH_TAGS_MAP);
    if (!map) return std::move(map).error();
    for (std::uint32_t i = 0; i < tags.size(); ++i)
        if (auto done = map->update(i, {tags[i].experiment, tags[i].activity}); !done) return done;
    settings_.tags = static_cast<__u32>(tags.size());
    settings_.random = random ? 1 : 0;
    return write_settings();
}

Result<void> SocketWatch::attach() {
    auto program = object_.program(WATCH_PROGRAM);
    if (!program) return std::move(program).error();
    auto link = attach_sockops(*program, cgroup_.get());
    if (!link) return std::move(link).error();
    link_ = *std::move(link);
    return {};
}

std::uint64_t SocketWatch::count(std::uint32_t which) const {
    const auto map = object_.map<std::uint32_t, std::uint64_t>(WATCH_COUNTS_MAP);
    if (!map) return 0;
    const auto sum = map->sum(which);
    return sum ? *sum : 0;
}

watch_rule any_connection() {
    watch_rule rule{};
    rule.local_high = 65535;
    rule.remote_high = 65535;
    return rule;
}

void put_network(const Network& network, __u64 (&words)[2], __u64 (&mask)[2]) {
    std::uint8_t bytes[16] = {};
    for (unsigned bit = 0; bit < network.length; ++bit) bytes[bit / 8] |= static_cast<std::uint8_t>(0x80u >> (bit % 8));
    std::memcpy(mask, bytes, sizeof bytes);
    std::memcpy(words, network.address.bytes().data(), 16);
    words[0] &= mask[0];
    words[1] &= mask[1];
}

}  // namespace flowd::watch
