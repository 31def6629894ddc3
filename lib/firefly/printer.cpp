// SPDX-License-Identifier: Apache-2.0
#include "lib/firefly/printer.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <utility>

#include "flowd/address.hpp"
#include "flowd/json.hpp"
#include "lib/firefly/address_text.hpp"
#include "lib/firefly/json_text.hpp"
#include "lib/firefly/timestamp.hpp"
#include "lib/text/utf8.hpp"

namespace flowd::firefly {
namespace {

/// PRI 134: facility local0, severity informational (RFC 5424 section 6.2.1), then the version.
constexpr std::string_view header_begin = "<134>1 ";
constexpr std::string_view header_name = "flowd-cpp";

/// PRINTUSASCII, up to 255 characters (RFC 5424 section 6).
[[nodiscard]] std::string header_word(std::string_view text) {
    if (text.empty()) return "-";
    std::string word(text.substr(0, 255));
    for (char& c : word)
        if (c < '!' || c > '~') c = '_';
    return word;
}

void append_time(std::string& out, std::int64_t time_ns) {
    std::array<char, timestamp_length> buffer;
    out.append(print_timestamp(time_ns, buffer));
}

void append_address(std::string& out, const std::uint8_t (&bytes)[16]) {
    std::array<char, INET6_ADDRSTRLEN> buffer;
    out.append(print_address(Address(bytes), buffer));
}

/// An address of which nothing would remain, as ::1, names no host.
void reduce_to_network(std::uint8_t (&bytes)[16]) {
    std::array<std::uint8_t, 16> network{};
    std::copy_n(std::begin(bytes), Address(bytes).is_v4() ? 15 : 8, network.begin());
    if (!Address(network).is_unspecified()) std::copy(network.begin(), network.end(), std::begin(bytes));
}

[[nodiscard]] std::string_view word_of(State state) {
    switch (state) {
        case State::start:
            return "start";
        case State::ongoing:
            return "ongoing";
        case State::end:
            return "end";
    }
    return "ongoing";
}

enum Rank : unsigned { rank_usage, rank_netlink, rank_skops, rank_storage, rank_others };

[[nodiscard]] unsigned rank_of(std::string_view name) {
    if (name == "netlink") return rank_netlink;
    if (name == "skOps") return rank_skops;
    if (name == "storage-stats") return rank_storage;
    return rank_others;
}

[[nodiscard]] std::size_t cost(std::string_view name, std::string_view json) {
    return json.empty() ? 0 : name.size() + json.size() + 4;  // ,"NAME":JSON
}

}  // namespace

Printer::Printer(PrinterOptions options) : options_(std::move(options)) {
    after_time_ = " " + header_word(options_.host) + " " + std::string(header_name) + " - firefly-json - ";
    out_.reserve(default_max_size + 512);
}

void Printer::print_core(const Firefly& firefly, bool syslog_header) {
    std::string& out = out_;
    if (syslog_header) {
        out.append(header_begin);
        append_time(out, firefly.current_time_ns);
        out.append(after_time_);
    }
    const std::int64_t end_time = firefly.end_time_ns != 0 ? firefly.end_time_ns : firefly.current_time_ns;
    std::int64_t start_time = firefly.start_time_ns;
    if (start_time == 0) start_time = firefly.state == State::end ? end_time : firefly.current_time_ns;

    out.append(R"({"version":1,"flow-lifecycle":{"state":")").append(word_of(firefly.state));
    out.append(R"(","current-time":")");
    append_time(out, firefly.current_time_ns);
    out.append(R"(","start-time":")");
    append_time(out, start_time);
    if (firefly.state == State::end) {
        out.append(R"(","end-time":")");
        append_time(out, end_time);
    }
    out.append(R"("},"flow-id":{"afi":")").append(Address(firefly.key.source).is_v4() ? "ipv4" : "ipv6");
    out.append(R"(","src-ip":")");
    append_address(out, firefly.key.source);
    out.append(R"(","dst-ip":")");
    append_address(out, firefly.key.destination);
    out.append(R"(","protocol":")").append(firefly.key.protocol == IPPROTO_TCP ? "tcp" : "udp");
    out.append(R"(","src-port":)");
    append_number(out, firefly.key.source_port);
    out.append(R"(,"dst-port":)");
    append_number(out, firefly.key.destination_port);
    out.append(R"(},"context":{"experiment-id":)");
    append_number(out, firefly.tag.experiment);
    out.append(R"(,"activity-id":)");
    append_number(out, firefly.tag.activity);
    out.append(R"(,"application":)");
    const std::string_view application = firefly.application.empty() ? options_.application : firefly.application;
    application_.assign(text::cut(application, max_application));
    std::replace_if(
        application_.begin(), application_.end(), [](unsigned char c) { return c < ' '; }, '_');
    json::Writer(out).value(std::string_view(application_));
    out.push_back('}');
}

void Printer::collect_parts(const Firefly& firefly) {
    parts_.clear();
    usage_.clear();
    netlink_.clear();
    if (firefly.has_usage) {
        usage_.append(R"({"received":)");
        append_number(usage_, firefly.received);
        usage_.append(R"(,"sent":)");
        append_number(usage_, firefly.sent);
        usage_.push_back('}');
        parts_.push_back({rank_usage, "usage", {usage_}});
    }
    if (firefly.rtt_ms) {
        json::Writer writer(netlink_);
        writer.object().member("rtt", *firefly.rtt_ms).end();
    }
    bool netlink_seen = false;
    for (const Block& block : firefly.blocks) {
        const unsigned rank = rank_of(block.name);
        const bool is_netlink = rank == rank_netlink;
        netlink_seen |= is_netlink;
        const std::string_view last =
            is_netlink && block.json != netlink_ ? std::string_view(netlink_) : std::string_view();
        parts_.push_back({rank, block.name, {block.json, block.shorter, last}});
    }
    if (!netlink_.empty() && !netlink_seen) parts_.push_back({rank_netlink, "netlink", {netlink_}});
    std::stable_sort(parts_.begin(), parts_.end(), [](const Part& a, const Part& b) { return a.rank < b.rank; });
}

void Printer::fit_parts(std::size_t room, Printed& printed) {
    std::size_t size = 0;
    for (const Part& part : parts_) size += cost(part.name, part.forms[0]);
    for (std::size_t i = parts_.size(); size > room && i-- > 0;) {
        Part& part = parts_[i];
        while (size > room && part.form < part.forms.size()) {
            size -= cost(part.name, part.forms[part.form++]);
            while (part.form < part.forms.size() && part.forms[part.form].empty()) ++part.form;
            if (part.form < part.forms.size()) size += cost(part.name, part.forms[part.form]);
        }
        ++(part.form < part.forms.size() ? printed.shortened : printed.left_out);
    }
}

Printed Printer::print(const Firefly& whole, const Layout& layout) {
    if (!layout.privacy.applies()) return print_all(whole, layout);
    Firefly reduced = whole;
    if (layout.privacy.omit_application) reduced.application = {};
    if (layout.privacy.truncate_addresses) {
        reduce_to_network(reduced.key.source);
        reduce_to_network(reduced.key.destination);
    }
    own_blocks_.clear();
    std::copy_if(whole.blocks.begin(), whole.blocks.end(), std::back_inserter(own_blocks_),
                 [](const Block& block) { return !block.is_received; });
    reduced.blocks = own_blocks_;
    return print_all(reduced, layout);
}

Printed Printer::print_all(const Firefly& firefly, const Layout& layout) {
    out_.clear();
    print_core(firefly, layout.syslog_header);
    Printed printed;
    if (out_.size() + 1 > layout.max_size) return printed;
    collect_parts(firefly);
    fit_parts(layout.max_size - out_.size() - 1, printed);
    for (const Part& part : parts_) {
        if (part.form == part.forms.size() || part.forms[part.form].empty()) continue;
        out_.append(",\"").append(part.name).append("\":").append(part.forms[part.form]);
    }
    out_.push_back('}');
    printed.text = out_;
    return printed;
}

}  // namespace flowd::firefly
