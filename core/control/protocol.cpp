// SPDX-License-Identifier: Apache-2.0
#include "core/control/protocol.hpp"

#include <algorithm>

#include "flowd/json.hpp"

namespace flowd::core::control {
namespace {

void append_u32(std::string& out, std::uint32_t number) {
    for (unsigned shift = 0; shift < 32; shift += 8) out.push_back(static_cast<char>(number >> shift & 0xff));
}

std::uint32_t read_u32(std::string_view bytes) {
    std::uint32_t number = 0;
    for (std::size_t i = 0; i < 4; ++i) number |= std::uint32_t{static_cast<unsigned char>(bytes[i])} << 8 * i;
    return number;
}

}  // namespace

Reply Reply::failure(ExitCode code, std::string_view message, std::string_view hint) {
    Reply reply{code, {}};
    json::Writer writer(reply.json);
    writer.object().member("error", message);
    if (!hint.empty()) writer.member("hint", hint);
    writer.end();
    return reply;
}

std::string encode_request(const Arguments& arguments) {
    std::string body;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        if (i > 0) body.push_back('\0');
        body.append(arguments[i]);
    }
    std::string frame;
    append_u32(frame, static_cast<std::uint32_t>(body.size()));
    return frame += body;
}

std::string encode_reply(const Reply& reply) {
    if (reply.json.size() > max_reply - 4) {
        return encode_reply(Reply::failure(ExitCode::failure, "the answer is larger than 64 MiB",
                                           "ask for less, for example with --limit"));
    }
    std::string frame;
    frame.reserve(reply.json.size() + 8);
    append_u32(frame, static_cast<std::uint32_t>(reply.json.size() + 4));
    append_u32(frame, static_cast<std::uint32_t>(to_int(reply.code)));
    return frame += reply.json;
}

std::optional<Arguments> decode_request(std::string_view body) {
    Arguments arguments;
    for (;;) {
        const std::size_t end = body.find('\0');
        if (arguments.size() == max_arguments) return std::nullopt;
        arguments.emplace_back(body.substr(0, end));
        if (end == std::string_view::npos) break;
        body.remove_prefix(end + 1);
    }
    if (arguments.front().empty()) return std::nullopt;
    return arguments;
}

std::optional<Reply> decode_reply(std::string_view body) {
    if (body.size() < 4) return std::nullopt;
    return Reply{static_cast<ExitCode>(static_cast<std::int32_t>(read_u32(body))), std::string(body.substr(4))};
}

FrameReader::State FrameReader::add(std::string_view bytes) {
    if (refused_) return State::refused;
    buffer_.append(bytes);
    if (buffer_.size() < 4) return State::more;
    const std::size_t length = read_u32(buffer_);
    refused_ = length == 0 || length > limit_ || buffer_.size() > length + 4;
    if (refused_) return State::refused;
    return buffer_.size() == length + 4 ? State::complete : State::more;
}

}  // namespace flowd::core::control
