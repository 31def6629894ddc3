// SPDX-License-Identifier: Apache-2.0
#include "plugins/skops/program.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

#include "lib/watch/cgroup.hpp"
#include "lib/watch/host_findings.hpp"
#include "lib/watch/link.hpp"
#include "skops.skel.h"

namespace flowd::skops {
namespace {

constexpr std::size_t walk_piece = 256 * 1024;

Result<bpf::Object> open_object(const std::string& path, bpf::LogSink log) {
    if (!path.empty()) return bpf::Object::open_file(path, std::move(log));
    std::size_t size = 0;
    const auto* const elf = static_cast<const std::uint8_t*>(skops_bpf::elf_bytes(&size));
    return bpf::Object::open(std::span(elf, size), "skops", std::move(log));
}

Result<std::uint64_t> inode_of(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return Error::from_errno(errno, "looking at " + path);
    return static_cast<std::uint64_t>(status.st_ino);
}

}  // namespace

Result<Program> Program::load(const SkopsOptions& options, bpf::LogSink log, Visitor told) {
    auto cgroup = watch::find_cgroup(options.cgroup_path);
    if (!cgroup) return std::move(cgroup).error();
    auto network_namespace = inode_of("/proc/thread-self/ns/net");
    if (!network_namespace) return std::move(network_namespace).error();
    auto group = inode_of(*cgroup);
    if (!group) return std::move(group).error();

    auto object = open_object(options.program_path, std::move(log));
    if (!object) return std::move(object).error();
    if (auto done = object->load(watch::kernel_needs); !done) return std::move(done).error();
    auto settings = object->map<std::uint32_t, skops_settings>(SKOPS_SETTINGS_MAP);
    if (!settings) return std::move(settings).error();
    const bool everything = *cgroup == watch::cgroup_root();
    if (auto done = settings->update(0, {*network_namespace, everything ? 0 : *group}); !done)
        return std::move(done).error();

    Program program(*std::move(object));
    const bool polls = options.strategy == Strategy::poll;
    auto descriptor = program.object_.program(polls ? SKOPS_ITERATOR_PROGRAM : SKOPS_SOCKOPS_PROGRAM);
    if (!descriptor) return std::move(descriptor).error();
    if (polls) {
        auto link = watch::attach_iterator(*descriptor);
        if (!link) return std::move(link).error();
        program.link_ = *std::move(link);
        program.buffer_.resize(walk_piece);
        return program;
    }
    auto events = program.object_.ring(SKOPS_EVENTS_MAP);
    if (!events) return std::move(events).error();
    auto ring = bpf::Ring::open(*events, [told = std::move(told)](std::span<const std::byte> entry) {
        skops_record record{};
        if (entry.size() < sizeof record) return;
        std::memcpy(&record, entry.data(), sizeof record);
        told(record);
    });
    if (!ring) return std::move(ring).error();
    program.ring_ = *std::move(ring);
    auto directory = watch::open_cgroup(*cgroup);
    if (!directory) return std::move(directory).error();
    auto link = watch::attach_sockops(*descriptor, directory->get());
    if (!link) return std::move(link).error();
    program.link_ = *std::move(link);
    return program;
}

Result<void> Program::walk(const Visitor& visitor) {
    auto walk = watch::iterate(link_.get());
    if (!walk) return std::move(walk).error();
    std::size_t kept = 0;  // bytes of a record that the last read split
    for (;;) {
        const ssize_t length = ::read(walk->get(), buffer_.data() + kept, buffer_.size() - kept);
        if (length < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (length < 0) return Error::from_errno(errno, "reading from the BPF iterator");
        if (length == 0) return {};
        const std::size_t filled = kept + static_cast<std::size_t>(length);
        std::size_t at = 0;
        for (; at + sizeof(skops_record) <= filled; at += sizeof(skops_record)) {
            skops_record record{};
            std::memcpy(&record, buffer_.data() + at, sizeof record);
            visitor(record);
        }
        kept = filled - at;
        std::memmove(buffer_.data(), buffer_.data() + at, kept);
    }
}

std::uint64_t Program::lost() const {
    const auto map = object_.map<std::uint32_t, std::uint64_t>(SKOPS_LOST_MAP);
    if (!map) return 0;
    const auto sum = map->sum(0);
    return sum ? *sum : 0;
}

}  // namespace flowd::skops
