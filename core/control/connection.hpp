// SPDX-License-Identifier: Apache-2.0
// One client of the control socket: read a request, wait for the reply, write it, close. Non-blocking; one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/control/protocol.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::core::control {

class Connection {
  public:
    enum class Phase { reading, waiting, writing, done, refused };

    explicit Connection(UniqueFd socket) : socket_(std::move(socket)) {}

    [[nodiscard]] int fd() const { return socket_.get(); }
    [[nodiscard]] Phase phase() const { return phase_; }
    /// The conditions to watch for, FLOWD_IO_*; errors are always reported.
    [[nodiscard]] std::uint32_t interest() const;
    /// Part of the request has been received.
    [[nodiscard]] bool has_spoken() const { return has_spoken_; }

    /// Reads the available bytes. Returns the request once it is complete; the phase is then `waiting`.
    [[nodiscard]] std::optional<Arguments> read();
    /// Begins to write the reply, which is a whole frame.
    void answer(std::string frame);
    /// Continues to write.
    void write();

  private:
    UniqueFd socket_;
    Phase phase_ = Phase::reading;
    bool has_spoken_ = false;
    bool half_closed_ = false;  ///< the client shut down its sending side; it still reads the reply
    FrameReader request_{max_request};
    std::string out_;
    std::size_t written_ = 0;
};

}  // namespace flowd::core::control
