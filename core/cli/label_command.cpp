// SPDX-License-Identifier: Apache-2.0
#include <istream>
#include <numeric>
#include <ostream>

#include "core/cli/commands.hpp"
#include "core/cli/label.hpp"
#include "core/service/installation.hpp"

namespace flowd::core::cli {
namespace {

constexpr std::size_t longest_line = 65536;

/// Reads the next line; a long line is truncated. False: end of input.
bool read_line(std::istream& in, std::string& line) {
    constexpr auto end = std::istream::traits_type::eof();
    line.clear();
    auto next = in.get();
    if (next == end) return false;
    for (; next != end && next != '\n'; next = in.get())
        if (line.size() < longest_line) line += static_cast<char>(next);
    return true;
}

/// Prints one line per value. Errors of decoding are reported once, at the end.
class Decoder {
  public:
    Decoder(const LabelRequest& request, const Registry& registry, const Output& output)
        : request_(request), registry_(registry), output_(output) {}

    /// False: the reader of the output has closed it.
    bool decode(std::string_view value) {
        const auto line = output_.json ? decode_label(value, request_.is_scitag, registry_)
                                       : label_line(value, request_.is_scitag, registry_);
        if (line)
            output_.out << *line << std::endl;
        else if (++failed_ == 1)
            first_ = line.error();
        ++decoded_;
        return static_cast<bool>(output_.out);
    }
    [[nodiscard]] bool has_decoded() const { return decoded_ > 0; }
    [[nodiscard]] ExitCode verdict() const {
        if (failed_ == 0) return ExitCode::ok;
        const std::string more = failed_ == 1 ? "" : " (and " + std::to_string(failed_ - 1) + " more)";
        return output_.fail(ExitCode::usage, first_.message + more, first_.hint);
    }

  private:
    const LabelRequest& request_;
    const Registry& registry_;
    const Output& output_;
    std::size_t decoded_ = 0;
    std::size_t failed_ = 0;
    Error first_;
};

ExitCode decode_input(const LabelRequest& request, const Registry& registry, std::istream& in, const Output& output) {
    Decoder decoder(request, registry, output);
    std::string line;
    while (read_line(in, line))
        for (const std::string_view value : labels_in(line))
            if (!decoder.decode(value)) return ExitCode::ok;
    if (!decoder.has_decoded())
        return output.fail(ExitCode::usage, "there is no flow label in standard input",
                           "tcpdump prints labels with -v, tshark with -T fields -e ipv6.flow");
    return decoder.verdict();
}

ExitCode decode_words(const LabelRequest& request, const Registry& registry, const Output& output) {
    const std::string text =
        std::accumulate(request.values.begin(), request.values.end(), std::string(),
                        [](std::string all, const std::string& one) { return std::move(all) + one + ' '; });
    const auto values = labels_in(text);
    if (values.size() > 1) {
        Decoder decoder(request, registry, output);
        for (const std::string_view value : values) decoder.decode(value);
        return decoder.verdict();
    }
    const auto answer = decode_label(values.empty() ? std::string_view(request.values.front()) : values.front(),
                                     request.is_scitag, registry);
    if (!answer) return output.fail(ExitCode::usage, answer.error().message, answer.error().hint);
    output.answer(*answer);
    return ExitCode::ok;
}

}  // namespace

ExitCode decode_labels(const LabelRequest& request, std::istream& in, const Output& output) {
    const Installation installation;
    output.err << installation.warnings().to_string();
    if (request.values.size() == 1 && request.values.front() == "-")
        return decode_input(request, installation.registry(), in, output);
    return decode_words(request, installation.registry(), output);
}

ExitCode show_label(const LabelRequest& request, const Output& output) {
    const Installation installation;
    output.err << installation.warnings().to_string();
    const auto answer = encode_label(request.experiment, request.activity, request.all, installation.registry());
    if (!answer) return output.fail(ExitCode::usage, answer.error().message, answer.error().hint);
    output.answer(*answer);
    return ExitCode::ok;
}

ExitCode print_labels(const std::string& tool, const Output& output) {
    const Installation installation;
    output.err << installation.warnings().to_string();
    if (installation.registry().experiments().empty())
        return output.fail(ExitCode::failure, "the registry is empty",
                           "reinstall flowd-cpp, or flowd-cpp registry update FILE");
    output.out << export_labels(tool, installation.registry());
    return ExitCode::ok;
}

}  // namespace flowd::core::cli
