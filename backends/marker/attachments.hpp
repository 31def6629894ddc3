// SPDX-License-Identifier: Apache-2.0
// backends/marker/attachments.hpp: keeps the program attached to a set of interfaces, harming nobody else's. One thread at
// a time.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "backends/marker/options.hpp"
#include "backends/marker/ownership.hpp"
#include "backends/marker/program.hpp"
#include "flowd/host.hpp"
#include "flowd/result.hpp"
#include "lib/bpf/clsact.hpp"
#include "lib/bpf/rtnetlink.hpp"
#include "lib/bpf/tcx.hpp"

namespace flowd::marker {

class Attachments {
  public:
    struct State {
        bpf::Link link;
        const char* hook;  ///< "tcx" or "clsact"
        std::uint32_t program;
    };
    struct Failure {
        bpf::Link link;
        Error error;
    };

    /// `host` and `program` must outlive this.
    Attachments(Host& host, const Program& program, Ownership ownership, Attach how, bool remove_qdisc);
    Attachments(const Attachments&) = delete;
    Attachments& operator=(const Attachments&) = delete;
    ~Attachments() { detach_all(); }

    /// Attaches to those that are new, lets go of those that are no longer in the set.
    std::vector<Failure> reconcile(const std::vector<bpf::Link>& wanted);
    /// The qdiscs that the predecessor made are now ours to remove; it must still be attached.
    void take_over(Attachments& predecessor);
    /// Takes our own away, and nothing else.
    void detach_all();
    /// Removes the filters of markers that were killed, on every interface. How many there were.
    Result<std::uint32_t> sweep();

    [[nodiscard]] std::vector<State> states() const;

  private:
    struct Attached {
        bpf::Link link;
        std::variant<bpf::TcxLink, bpf::ClsactFilter> hook;
        std::uint32_t program = 0;
        bool made_qdisc = false;
    };
    [[nodiscard]] Result<Attached> attach(const bpf::Link& link);
    [[nodiscard]] Result<Attached> attach_clsact(const bpf::Link& link, int program);
    void detach(Attached attached);
    void warn_of_strangers(const bpf::Link& link);

    Host& host_;
    const Program& program_;
    Ownership ownership_;
    Attach how_;
    bool remove_qdisc_;
    std::map<int, Attached> attached_;  // by interface index
};

}  // namespace flowd::marker
