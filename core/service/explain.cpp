// SPDX-License-Identifier: Apache-2.0
#include "core/service/explain.hpp"

#include <netinet/in.h>

#include <charconv>
#include <optional>

#include "core/base/text.hpp"
#include "core/service/status_json.hpp"
#include "flowd/address.hpp"
#include "flowd/sized.hpp"

namespace flowd::core {

namespace {

template <typename T>
std::optional<T> number_of(std::string_view text) {
    T number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

std::optional<std::uint8_t> protocol_of(std::string_view word) {
    if (word == "tcp") return std::uint8_t{IPPROTO_TCP};
    if (word == "udp") return std::uint8_t{IPPROTO_UDP};
    if (word == "sctp") return std::uint8_t{IPPROTO_SCTP};
    return number_of<std::uint8_t>(word);
}

/// "192.0.2.1:80", "[2001:db8::1]:80"; without a port, the port is 0.
std::optional<Endpoint> endpoint_of(std::string_view text) {
    if (const auto alone = Address::parse(text)) return Endpoint{*alone, 0};
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    const auto address = Address::parse(text.substr(0, colon));
    const auto port = number_of<std::uint16_t>(text.substr(colon + 1));
    if (!address || !port) return std::nullopt;
    return Endpoint{*address, *port};
}

}  // namespace

Result<flowd_key> read_flow_key(std::span<const std::string> words) {
    const char* const hint = "write for example: flowd-cpp explain tcp [2001:db8::1]:5201 [2001:db8::2]:40000";
    if (words.size() != 3) return Error{FLOWD_INVALID, "explain takes a protocol and two ends", hint};
    const auto protocol = protocol_of(words[0]);
    if (!protocol) return Error{FLOWD_INVALID, "\"" + words[0] + "\" is neither tcp, udp, sctp nor a number to 255", hint};
    const auto source = endpoint_of(words[1]), destination = endpoint_of(words[2]);
    if (!source || !destination)
        return Error{FLOWD_INVALID, "\"" + words[source ? 2 : 1] + "\" is not an address and a port", hint};
    return make_key(*source, *destination, *protocol);
}

ExplainedFlow::ExplainedFlow(const flowd_key& key) {
    flow_.size = sizeof flow_;
    flow_.key = key;
}

void ExplainedFlow::take(const flowd_flow& flow) {
    flow_ = flow;
    texts_ = FlowTexts(to_view(flow.application), to_view(flow.rule));
    texts_.lend_to(flow_);
}

std::string explain_json(const Services& services, const ExplainedFlow& flow,
                         const std::map<std::string, std::vector<Explanation>>& said) {
    std::string out;
    json::Writer w(out);
    w.object().member("known", flow.is_known());
    w.key("flow");
    write_flow(w, flow.flow(), services.registries.current());
    w.key("explanations").array();
    for (const auto& [instance, explanations] : said)
        for (const Explanation& one : explanations) {
            w.object().member("instance", instance).member("verdict", one.verdict).member("subject", one.subject);
            w.member("text", one.text).member("time", utc_text(one.time_ns)).end();
        }
    w.end().end();
    return out;
}

}  // namespace flowd::core
