// SPDX-License-Identifier: Apache-2.0
#include "backends/marker/marking.hpp"

#include <utility>

namespace flowd::marker {

Result<std::unique_ptr<Marking>> Marking::make(Host& host, const Options& options) {
    const flowd_level level = options.debug_mode ? FLOWD_LEVEL_INFO : FLOWD_LEVEL_DEBUG;
    const marker_config config{options.policy == Policy::keep_explicit ? 1u : 0u, 0};
    auto program = Program::load(options.program_path, config, options.max_flows,
                                 [&host, level](flowd_level, std::string_view line) { host.log(level, line); });
    if (!program) {
        Error error = std::move(program).error();
        if (!options.program_path.empty()) error.option = "programPath";
        return error;
    }
    auto ownership = Ownership::claim();
    if (!ownership) return std::move(ownership).error();
    // Listening before looking: what appears in between is not missed.
    auto changes = bpf::Netlink::open(Interfaces(options).groups());
    if (!changes) return std::move(changes).error();
    std::unique_ptr<Marking> made(
        new Marking(host, options, *std::move(program), *std::move(ownership), *std::move(changes)));
    made->table_.set_observe(options.mode == Mode::observe);
    return made;
}

Marking::Marking(Host& host, const Options& options, Program program, Ownership ownership, bpf::Netlink changes)
    : host_(host),
      interfaces_(options),
      is_named_(!options.target_interfaces.empty()),
      waits_(options.wait_for_interfaces),
      changes_(std::move(changes)),
      program_(std::move(program)),
      table_(program_, options.max_flows),
      attachments_(host, program_, std::move(ownership), options.attach, options.remove_qdisc) {}

Error Marking::nothing_there() const {
    return Error{
        FLOWD_NOT_FOUND,
        std::string(is_named_ ? "none of these exists: " : "there is no such interface: ") + interfaces_.describe(),
        is_named_ ? "`ip -brief link` lists what exists; `waitForInterfaces: true` starts without"
                  : "name them in targetInterfaces; `waitForInterfaces: true` starts without",
        "targetInterfaces"};
}

Result<void> Marking::attach_first() {
    auto found = interfaces_.find();
    if (!found) return std::move(found).error();
    if (found->present.empty() && !waits_) return nothing_there();
    missing_ = found->missing;
    for (const std::string& name : missing_)
        host_.warning("interface " + name + " does not exist; it is marked on when it appears");
    auto failures = attachments_.reconcile(found->present);
    if (failures.empty()) return {};
    failures.front().error.option = "targetInterfaces";
    return std::move(failures.front().error);
}

void Marking::attach_again() {
    auto found = interfaces_.find();
    if (!found) return host_.report(Problem::from(found.error()));
    missing_ = found->missing;
    for (auto& failure : attachments_.reconcile(found->present)) {
        failure.error.option = "targetInterfaces";
        Problem problem = Problem::from(failure.error);
        problem.found = failure.link.name;
        host_.report(problem);
    }
}

Result<void> Marking::fill_from(const Marking& predecessor) {
    if (predecessor.table_.has_catch_all()) table_.set_catch_all(predecessor.table_.catch_all());
    return refill();
}

Result<void> Marking::refill() {
    has_lost_flows_ = false;
    return host_.flows().visit([this](const flowd_flow& flow) { return put(flow.key, flow.tag); });
}

bool Marking::put(const flowd_key& key, flowd_tag tag) {
    if (table_.put(key, tag)) return true;
    has_lost_flows_ = true;
    return false;
}

}  // namespace flowd::marker
