// SPDX-License-Identifier: Apache-2.0
#include "backends/marker/marker.hpp"

#include <chrono>
#include <string>
#include <utility>

namespace flowd::marker {
namespace {

constexpr std::chrono::seconds catch_all_patience{10};

std::string tag_text(flowd_tag tag) {
    return std::to_string(tag.experiment) + "/" + std::to_string(tag.activity);
}

}  // namespace

Marker::Marker(Host& host, Options options) : Backend(host), options_(std::move(options)), interfaces_(options_) {}

Result<void> Marker::prepare() {
    if (auto done = load(); !done) return done;
    auto ownership = Ownership::claim();
    if (!ownership) return std::move(ownership).error();
    attachments_.emplace(host(), *program_, *std::move(ownership), options_.attach, options_.remove_qdisc);
    // Listening before looking: what appears in between is not missed.
    auto changes = bpf::Netlink::open(interfaces_.groups());
    if (!changes) return std::move(changes).error();
    changes_.emplace(*std::move(changes));
    if (auto done = attach(true); !done) return done;
    // Ours are attached: nothing is unmarked between a killed predecessor's filters and ours.
    if (auto swept = attachments_->sweep(); !swept)
        host().warning("leftovers were not looked for: " + swept.error().message);
    return {};
}

Result<void> Marker::load() {
    const flowd_level level = options_.debug_mode ? FLOWD_LEVEL_INFO : FLOWD_LEVEL_DEBUG;
    const marker_config config{options_.policy == Policy::keep_explicit ? 1u : 0u, 0};
    auto program = Program::load(options_.program_path, config, options_.max_flows,
                                 [this, level](flowd_level, std::string_view line) { host().log(level, line); });
    if (!program) return std::move(program).error();
    program_.emplace(*std::move(program));
    table_.emplace(*program_, options_.max_flows);
    table_->set_observe(options_.mode == Mode::observe);
    return {};
}

Result<void> Marker::start() {
    auto watch = host().watch(changes_->fd(), FLOWD_IO_READ, [this](std::uint32_t) { on_change(); });
    if (!watch) return std::move(watch).error();
    change_watch_ = *std::move(watch);
    if (!options_.match_all) return {};
    auto timer = host().after(catch_all_patience, [this] {
        if (!table_->has_catch_all())
            host().warning("matchAll is set, but no plugin gives a catch-all tag: configure plugins.perfsonar");
    });
    if (!timer) return std::move(timer).error();
    catch_all_timer_ = *std::move(timer);
    return {};
}

Result<void> Marker::stop(Deadline) {
    change_watch_.reset();
    catch_all_timer_.reset();
    if (attachments_) attachments_->detach_all();
    return {};
}

Result<void> Marker::attach(bool starting) {
    auto found = interfaces_.find();
    if (!found) return std::move(found).error();
    if (starting) {
        if (auto done = missing(*found); !done) return done;
    }
    missing_ = found->missing;
    for (auto& [link, error] : attachments_->reconcile(found->present)) {
        error.option = "targetInterfaces";
        if (starting) return std::move(error);
        Problem problem = Problem::from(error);
        problem.found = link.name;
        host().report(problem);
    }
    return {};
}

Result<void> Marker::missing(const Interfaces::Found& found) {
    if (found.present.empty() && !options_.wait_for_interfaces) {
        const bool named = !options_.target_interfaces.empty();
        return Error{
            FLOWD_NOT_FOUND,
            std::string(named ? "none of these exists: " : "there is no such interface: ") + interfaces_.describe(),
            named ? "`ip -brief link` lists what exists; `waitForInterfaces: true` starts without"
                  : "name them in targetInterfaces; `waitForInterfaces: true` starts without",
            "targetInterfaces"};
    }
    for (const std::string& name : found.missing)
        host().warning("interface " + name + " does not exist; it is marked on when it appears");
    return {};
}

void Marker::on_change() {
    if (!changes_->drain()) return;
    if (auto done = attach(false); !done) host().report(Problem::from(done.error()));
}

void Marker::on_events(const Events& events) {
    for (const EventView event : events) {
        switch (event->kind) {
            case FLOWD_EVENT_START:
                start_flow(*event);
                break;
            case FLOWD_EVENT_ONGOING:
                if (event.has(FLOWD_RETAGGED)) start_flow(*event);
                break;
            case FLOWD_EVENT_END:
                table_->remove(event->key);
                break;
            case FLOWD_EVENT_CATCH_ALL:
                if (!table_->set_catch_all(event->tag))
                    host().error("the catch-all tag " + tag_text(event->tag) +
                                 " does not fit a flow label: nothing but flows is marked");
                break;
            case FLOWD_EVENT_CATCH_ALL_CLEAR:
                table_->clear_catch_all();
                break;
            default:
                break;
        }
    }
    // Some room first, so that a table at its limit is not refilled for every flow that ends.
    if (has_lost_flows_ && table_->size() < table_->capacity() - table_->capacity() / 8) refill();
}

void Marker::start_flow(const flowd_event& event) {
    if (table_->put(event.key, event.tag)) return;
    has_lost_flows_ = true;
    if (std::exchange(said_full_, true)) return;
    host().error("the table of " + std::to_string(table_->capacity()) +
                 " flows is full: further flows are not marked until others end; raise maxFlows");
}

void Marker::refill() {
    has_lost_flows_ = false;
    auto done = host().flows().visit([this](const flowd_flow& flow) {
        has_lost_flows_ = !table_->put(flow.key, flow.tag);
        return !has_lost_flows_;
    });
    if (!done) host().warning("flows that did not fit the table: " + done.error().message);
}

}  // namespace flowd::marker

FLOWD_MODULE(flowd::marker::Marker);
