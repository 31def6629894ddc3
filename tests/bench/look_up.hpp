// SPDX-License-Identifier: Apache-2.0
// The programs of look_up.bpf.c, loaded, with so many flows in the tables.
#pragma once

#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "backends/marker/kernel_flows.hpp"
#include "backends/marker/marks.hpp"
#include "bpf/socket_tag.h"
#include "flowd/unique_fd.hpp"
#include "lib/bpf/object.hpp"
#include "look_up.skel.h"
#include "tests/bench/look_up.h"

class LookUp {
  public:
    struct What {
        std::uint32_t flows = 1;
        bool with_sockets = false;
        flowd_tag catch_all{};
    };

    explicit LookUp(What what) {
        marker_config config{};
        config.carriers = MARKER_CARRIER_LABEL;
        config.buckets = flowd::marker::KernelFlows::buckets_for(what.flows);
        std::size_t size = 0;
        const auto* const elf = static_cast<const std::uint8_t*>(look_up_bpf::elf_bytes(&size));
        auto object = flowd::bpf::Object::open(std::span(elf, size), "look_up", {});
        if (!object || !object->set_constants(config) || !object->set_max_entries("kernel_flows", what.flows) ||
            !object->set_max_entries("sockets", what.with_sockets ? what.flows : 1) ||
            !object->set_max_entries(MARKER_FLOWS_MAP, config.buckets) || !object->load({}))
            return;
        object_ = std::move(*object);
        is_loaded_ = fill(what, config.buckets) && (!what.with_sockets || fill_sockets(what.flows));
    }
    LookUp(const LookUp&) = delete;
    LookUp& operator=(const LookUp&) = delete;
    ~LookUp() {
        for (const pid_t child : children_) {
            ::kill(child, SIGKILL);
            ::waitpid(child, nullptr, 0);
        }
    }
    [[nodiscard]] bool is_loaded() const { return is_loaded_; }
    [[nodiscard]] int program(const char* name) {
        auto found = object_->program(name);
        return found ? *found : -1;
    }

  private:
    bool fill(const What& what, std::uint32_t bucket_count) {
        auto kernel = object_->map<flow_key, marker_mark>("kernel_flows");
        auto table_map = object_->map<std::uint32_t, marker_bucket>(MARKER_FLOWS_MAP);
        auto places = object_->map<std::uint32_t, look_up_place>("places");
        auto settings = object_->map<std::uint32_t, marker_settings>(MARKER_SETTINGS_MAP);
        if (!kernel || !table_map || !places || !settings) return false;
        const flowd::marker::Marks marks({});
        marker_settings set{};
        set.flows = 1;
        if (what.catch_all.experiment != 0) set.catch_all = marks.of_catch_all(what.catch_all);
        if (!settings->update(0, set) || !places->update(0, {0, what.flows, LOOK_UP_STRIDE % what.flows})) return false;
        flowd::marker::KernelFlows table(table_map->fd(), bucket_count);
        for (std::uint32_t i = 0; i < what.flows; ++i) {
            flow_key key;
            look_up_key(&key, i);
            const marker_mark mark = marks.of({2, 16}, flow_hash(&key));
            if (!kernel->update(key, mark) || !table.put({key, mark, 0, 0})) return false;
        }
        return true;
    }

    /// Sockets of children, because a process may not have so many descriptors. They live until they are killed.
    bool fill_sockets(std::uint32_t count) {
        rlimit limit{};
        if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max < 2048) return false;
        limit.rlim_cur = limit.rlim_max;
        if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
        const std::uint32_t each = std::min<std::uint32_t>(16384, static_cast<std::uint32_t>(limit.rlim_max - 1024));
        for (std::uint32_t first = 0; first < count; first += each) {
            int ends[2];
            if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return false;
            flowd::UniqueFd ours(ends[0]);
            flowd::UniqueFd theirs(ends[1]);
            const pid_t child = ::fork();
            if (child < 0) return false;
            if (child == 0) {
                ours.reset();
                ::prctl(PR_SET_PDEATHSIG, SIGKILL);
                const char done = make_sockets(first, std::min(count, first + each)) ? 'y' : 'n';
                if (::write(theirs.get(), &done, 1) == 1) ::pause();
                ::_exit(0);
            }
            children_.push_back(child);
            theirs.reset();
            char done = 0;
            if (::read(ours.get(), &done, 1) != 1 || done != 'y') return false;
        }
        return true;
    }

    bool make_sockets(std::uint32_t first, std::uint32_t end) {
        auto sockets = object_->map<std::uint32_t, std::uint64_t>("sockets");
        auto tags = object_->map<int, socket_tag>(SOCKET_TAGS_MAP);
        if (!sockets || !tags) return false;
        for (std::uint32_t i = first; i < end; ++i) {
            const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);  // until the process ends
            if (fd < 0 || !bind(fd, i) || !tags->update(fd, socket_tag{2, 16}) ||
                !sockets->update(i, static_cast<std::uint64_t>(fd)))
                return false;
        }
        return true;
    }

    /// A sockmap accepts only bound sockets. The addresses are of RFC 2544 (benchmarking); the tables share their ports.
    static bool bind(int fd, std::uint32_t number) {
        const int on = 1;
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(0xc6120001u + (number >> 14));
        address.sin_port = htons(static_cast<std::uint16_t>(16384 + (number & 0x3fff)));
        return ::setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof on) == 0 &&
               ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
               ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    }

    std::optional<flowd::bpf::Object> object_;
    std::vector<pid_t> children_;
    bool is_loaded_ = false;
};
