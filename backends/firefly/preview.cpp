// SPDX-License-Identifier: Apache-2.0
// `flowd-cpp firefly preview`: the datagrams that leave this host, without sending them.
#include "backends/firefly/firefly.hpp"
#include "flowd/number.hpp"
#include "lib/firefly/event.hpp"

namespace flowd::firefly_backend {
namespace {

constexpr std::size_t usual_flows = 10;
constexpr std::size_t most_flows = 1000;

[[nodiscard]] std::optional<std::size_t> read_count(const std::vector<std::string_view>& arguments) {
    if (arguments.empty()) return usual_flows;
    const auto count = arguments.size() == 1 ? whole_number<std::size_t>(arguments.front()) : std::nullopt;
    return count && *count >= 1 && *count <= most_flows ? count : std::nullopt;
}

}  // namespace

std::vector<Command<FireflyBackend>> FireflyBackend::commands() {
    return {{"preview", "[FLOWS]", "Shows the fireflies of live flows as each receiver would get them now; sends nothing.",
             false, &FireflyBackend::command_preview}};
}

Result<void> FireflyBackend::command_preview(const std::vector<std::string_view>& arguments, json::Writer& answer) {
    const auto most = read_count(arguments);
    if (!most) return Error{FLOWD_INVALID, "preview takes the number of flows, 1 to " + std::to_string(most_flows)};
    if (!composer_) return Error{FLOWD_ERROR, "the backend is not running"};
    const std::int64_t now_ns = unix_time_ns();
    std::size_t flows = 0;
    answer.object().member("dryRun", options_.dry_run).key("fireflies").array();
    auto visited = host().flows().visit([&](const flowd_flow& flow) {
        preview(flow, now_ns, answer);
        return ++flows < *most;
    });
    answer.end().member("flows", flows).end();
    return visited;
}

void FireflyBackend::preview(const flowd_flow& flow, std::int64_t now_ns, json::Writer& list) {
    const flowd_event event = ongoing_of(flow);
    const EventView view(event);
    if (firefly::printable(event) != firefly::Printable::yes) return;
    const FlowMemory::Flow* const known = flows_.find(flow.flow_id);
    composer_->begin(view, now_ns, known != nullptr ? known->rtt_ms : 0);
    const auto add = [&](const std::string& to, const firefly::Layout& layout) {
        const std::string_view printed = composer_->print(layout);
        if (printed.empty()) return;
        std::string datagram;
        (void)firefly::Stream(boot_).number(datagram, printed, {boot_, 0}, layout.max_size);
        list.object().member("to", to).member("firefly", datagram).end();
    };
    for (const Collector& collector : collectors_)
        if (!is_withheld(collector, flow.tag)) add(collector.target->target().name(), collector.present_layout());
    const bool is_kept = view.has(FLOWD_LEARNT_REMOTELY) || view.has(FLOWD_NOT_TO_PEER);
    if (options_.send_to_destination && (options_.forward_to_destination || !is_kept))
        add(Endpoint{view.destination().address, options_.destination_port}.to_string(),
            {options_.prepend_syslog, options_.max_size});
}

}  // namespace flowd::firefly_backend
