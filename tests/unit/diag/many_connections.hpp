// SPDX-License-Identifier: Apache-2.0
// More live connections than one process may open, and who judges the samples of them.
#pragma once

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "flowd/abi/module.h"
#include "tests/unit/diag/connections.hpp"

namespace flowd::diag {

/// So many live connections on loopback. Grows, never shrinks: whoever uses them goes from few to many. Held by children,
/// because one process may not open so many.
class ManyConnections {
  public:
    static ManyConnections& of(std::size_t count) {
        static ManyConnections connections;
        connections.grow(count);
        return connections;
    }
    [[nodiscard]] const std::vector<flowd_flow>& flows() const { return flows_; }
    [[nodiscard]] std::uint64_t cookie(std::uint64_t flow_id) const { return made_[flow_id - 1].cookie; }

  private:
    static constexpr std::size_t most = 100'000;
    static constexpr std::size_t per_child = 8'000;

    struct Made {
        flowd_key key;
        std::uint64_t cookie;
    };

    ManyConnections()
        : made_(static_cast<Made*>(
              ::mmap(nullptr, most * sizeof(Made), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {}

    void grow(std::size_t count) {
        while (flows_.size() < count) {
            const std::size_t first = flows_.size();
            const std::size_t last = std::min(first + per_child, count);
            spawn(first, last);
            for (std::size_t i = first; i < last; ++i) {
                flowd_flow flow{};
                flow.size = sizeof flow;
                flow.flow_id = i + 1;
                flow.key = made_[i].key;
                flows_.push_back(flow);
            }
        }
    }
    void spawn(std::size_t first, std::size_t last) {
        int done[2];
        must(::pipe(done), "pipe");
        const pid_t child = must(::fork(), "fork");
        if (child == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            rlimit files{};
            ::getrlimit(RLIMIT_NOFILE, &files);
            files.rlim_cur = files.rlim_max;
            ::setrlimit(RLIMIT_NOFILE, &files);
            // A tuple has some 28,000 local ports: each child has an address of its own.
            const std::string address = "127.0.1." + std::to_string(1 + children_);
            const Listener listener(address.c_str());
            std::vector<std::unique_ptr<Pair>> pairs;
            for (std::size_t i = first; i < last; ++i) {
                auto& pair = pairs.emplace_back(std::make_unique<Pair>(listener, address.c_str()));
                pair->send(1 + i % 1000);
                made_[i] = {pair->key(), cookie_of(pair->client.get())};
            }
            if (::write(done[1], "", 1) != 1) ::_exit(1);
            for (;;) ::pause();
        }
        ++children_;
        ::close(done[1]);
        char byte = 0;
        if (::read(done[0], &byte, 1) != 1) throw std::runtime_error("a child could not make its connections");
        ::close(done[0]);
    }

    Made* made_;
    std::size_t children_ = 0;
    std::vector<flowd_flow> flows_;
};

/// Samples are counted and compared, not kept: what the core does with them is not measured here.
struct Judge {
    const ManyConnections* connections = nullptr;
    std::uint64_t samples = 0, wrong = 0;

    [[nodiscard]] flowd_samples sink() {
        flowd_samples table{};
        table.size = sizeof table;
        table.context = this;
        table.add = &Judge::add;
        return table;
    }
    static flowd_result add(const flowd_samples* samples, const flowd_sample* sample) {
        Judge& self = *static_cast<Judge*>(samples->context);
        ++self.samples;
        const bool right = sample->cookie == self.connections->cookie(sample->flow_id) &&
                           sample->usage.bytes_sent == 1 + (sample->flow_id - 1) % 1000;
        if (!right) ++self.wrong;
        return FLOWD_OK;
    }
};

}  // namespace flowd::diag
