// SPDX-License-Identifier: Apache-2.0
#include "core/control/connection.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "flowd/abi/host.h"

namespace flowd::core::control {

std::uint32_t Connection::interest() const {
    switch (phase_) {
        case Phase::reading:
            return FLOWD_IO_READ;
        case Phase::waiting:
            return half_closed_ ? 0u : std::uint32_t{FLOWD_IO_READ};
        case Phase::writing:
            return FLOWD_IO_WRITE;
        default:
            return 0;
    }
}

std::optional<Arguments> Connection::read() {
    char buffer[16384];
    for (;;) {
        const ssize_t count = ::recv(fd(), buffer, sizeof buffer, MSG_DONTWAIT);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && errno == EAGAIN) return std::nullopt;
        if (count <= 0) {
            half_closed_ = count == 0;
            if (phase_ == Phase::reading || count < 0) phase_ = Phase::refused;
            return std::nullopt;
        }
        has_spoken_ = true;
        const auto state = request_.add({buffer, static_cast<std::size_t>(count)});
        if (state == FrameReader::State::refused) {
            phase_ = Phase::refused;
            return std::nullopt;
        }
        if (state == FrameReader::State::complete) {
            auto arguments = decode_request(request_.body());
            phase_ = arguments ? Phase::waiting : Phase::refused;
            return arguments;
        }
    }
}

void Connection::answer(std::string frame) {
    out_ = std::move(frame);
    phase_ = Phase::writing;
    write();
}

void Connection::write() {
    while (written_ < out_.size()) {
        const ssize_t count = ::send(fd(), out_.data() + written_, out_.size() - written_, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && errno == EAGAIN) return;
        if (count < 0) {
            phase_ = Phase::refused;
            return;
        }
        written_ += static_cast<std::size_t>(count);
    }
    phase_ = Phase::done;
}

}  // namespace flowd::core::control
