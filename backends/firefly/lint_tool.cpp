// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "backends/firefly/capture.hpp"
#include "backends/firefly/lint.hpp"
#include "backends/firefly/receive.hpp"
#include "backends/firefly/tools.hpp"
#include "flowd/counted.hpp"
#include "flowd/json.hpp"
#include "flowd/number.hpp"

namespace flowd::firefly_backend {
namespace {

constexpr std::size_t longest_line = 1 << 20, block_size = 1 << 16;

void write(json::Writer& writer, const Emitter& emitter) {
    writer.object().member("emitter", emitter.name);
    if (!emitter.address.empty()) writer.member("address", emitter.address);
    writer.member("grade", std::string(1, emitter.grade())).member("fireflies", emitter.fireflies());
    writer.member("starts", emitter.states[1]).member("ongoing", emitter.states[2]).member("ends", emitter.states[3]);
    writer.key("faults").array();
    for (std::size_t i = 0; i < fault_count; ++i) {
        const FoundFault& found = emitter.faults[i];
        if (found.count == 0) continue;
        const FaultText& fault = text_of(static_cast<Fault>(i));
        writer.object().member("fault", fault.id).member("severity", name_of(fault.severity));
        writer.member("count", found.count).member("example", found.example).member("remedy", fault.remedy).end();
    }
    writer.end().end();
}

/// Takes a line of a log, if it contains JSON.
void take_line(std::string_view line, Lint& lint) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.starts_with('#') && line.find('{') != std::string_view::npos) lint.take({line});
}

/// Reads blocks: a log may have very many short lines.
[[nodiscard]] Result<void> read_lines(std::istream& in, Lint& lint) {
    std::string text;
    for (std::size_t known = 0;;) {
        text.resize(known + block_size);
        in.read(text.data() + known, block_size);
        text.resize(known + static_cast<std::size_t>(in.gcount()));
        std::size_t begin = 0;
        for (std::size_t end = 0; (end = text.find('\n', std::max(begin, known))) != std::string::npos; begin = end + 1) {
            if (end - begin > longest_line) break;
            take_line(std::string_view(text).substr(begin, end - begin), lint);
        }
        text.erase(0, begin);
        known = text.size();
        if (known > longest_line) return Error{FLOWD_INVALID, "a line is longer than 1 MiB: this is no log"};
        if (in) continue;
        if (!text.empty()) take_line(text, lint);
        return {};
    }
}

struct CaptureCounts {
    std::uint64_t incomplete = 0;
    std::uint64_t other_ports = 0;
};

[[nodiscard]] Result<CaptureCounts> read_capture(std::istream& in, std::uint16_t port, Lint& lint) {
    auto capture = Capture::open(in);
    if (!capture) return std::move(capture).error();
    CaptureCounts counts;
    for (;;) {
        auto packet = capture->next();
        if (!packet) return std::move(packet).error();
        if (!*packet) return counts;
        const auto datagram = datagram_in(capture->link_type(), (*packet)->bytes);
        if (!datagram) continue;
        if (datagram->destination.port != port)
            ++counts.other_ports;
        else if (datagram->is_incomplete)
            ++counts.incomplete;
        else
            lint.take(
                {datagram->payload, datagram->source, datagram->destination, (*packet)->time_ns, datagram->is_fragment});
    }
}

[[nodiscard]] Result<void> read_file(const LintOptions& options, ToolCall& call, Lint& lint) {
    std::error_code error;  // a missing file is reported below
    const auto kind = std::filesystem::status(options.input, error).type();
    if (kind != std::filesystem::file_type::regular && kind != std::filesystem::file_type::not_found)
        return Error{FLOWD_INVALID, options.input + " is not a regular file", "write a pipe to a file first"};
    std::ifstream in(options.input, std::ios::binary);
    if (!in) return Error::from_errno(errno, options.input);
    std::array<char, 4> begin{};
    in.read(begin.data(), begin.size());
    const std::string_view magic(begin.data(), static_cast<std::size_t>(in.gcount()));
    in.clear();
    in.seekg(0);
    if (magic.starts_with("\x1f\x8b")) return Error{FLOWD_INVALID, options.input + " is compressed", "gunzip it first"};
    if (!Capture::is_capture(magic)) {
        if (auto read = read_lines(in, lint); !read) return std::move(read).error().within(options.input);
        return {};
    }
    auto counts = read_capture(in, options.port, lint);
    if (!counts) return std::move(counts).error().within(options.input);
    if (counts->incomplete > 0)
        call.host().warning("left out " + counted(counts->incomplete, "datagram") +
                            " of which the capture has only a part: capture with tcpdump -s 0");
    if (counts->other_ports > 0)
        call.host().info("left out " + counted(counts->other_ports, "UDP datagram") + " to ports other than " +
                         std::to_string(options.port) + ": --port");
    return {};
}

[[nodiscard]] Result<void> read_port(const LintOptions& options, ToolCall& call, Lint& lint) {
    const std::uint16_t port = whole_number<std::uint16_t>(std::string_view(options.input).substr(1)).value_or(0);
    if (port == 0) return Error{FLOWD_INVALID, options.input + " is not a port", "write :PORT with a number of 1 to 65535"};
    const auto received =
        receive_datagrams({{Address(), port}, options.count, options.seconds}, call, [&](const net::Datagram& datagram) {
            lint.take({datagram.payload, datagram.peer, {}, unix_time_ns(), false});
            return Taken::counted;
        });
    if (!received) return received.error();
    return {};
}

}  // namespace

const Table<LintOptions>& LintOptions::table() {
    using O = LintOptions;
    static const Table<O> table{
        option("input", &O::input)
            .required()
            .length(1, 4096)
            .doc("A log with one firefly a line, a capture of tcpdump, or :PORT to receive fireflies."),
        option("port", &O::port)
            .range(1, 65535)
            .default_value(firefly_port)
            .doc("In a capture, the UDP port that fireflies are sent to."),
        option("require", &O::require)
            .choices({"A", "B", "C", "D", "F"})
            .default_value("C")
            .doc("Fails if an emitter has a lower grade."),
        option("count", &O::count).default_value(0).doc("With :PORT, ends after this number of datagrams; 0: no limit."),
        option("seconds", &O::seconds)
            .range(std::chrono::seconds(0), std::chrono::hours(24 * 365))
            .default_value("0s")
            .doc("With :PORT, ends after this time; 0: when it is interrupted."),
    };
    return table;
}

Result<void> lint_fireflies(LintOptions options, ToolCall& call) {
    const auto registry = call.host().registry();
    Lint lint([&](flowd_tag tag) {
        return tag.activity == 0 ? !registry.experiment_name(tag.experiment).empty()
                                 : !registry.activity_name(tag.experiment, tag.activity).empty();
    });
    auto read = options.input.starts_with(':') ? read_port(options, call, lint) : read_file(options, call, lint);
    if (!read) return read;
    const auto emitters = lint.finish();
    if (emitters.empty())
        return Error{
            FLOWD_NOT_FOUND, "no firefly in " + options.input,
            "fireflies are lines with JSON, or UDP datagrams to port " + std::to_string(options.port) + " (--port)"};
    std::string text;
    json::Writer writer(text);
    writer.object().key("emitters").array();
    for (const Emitter& emitter : emitters) write(writer, emitter);
    writer.end().end();
    if (!call.print(text)) return {};
    const Emitter& worst = emitters.front();
    if (worst.grade() > options.require.front())
        return Error{
            FLOWD_ERROR,
            "grade " + std::string(1, worst.grade()) + " for " + worst.name + ": " + options.require + " is required",
            "docs/firefly.md describes the faults"};
    return {};
}

}  // namespace flowd::firefly_backend
