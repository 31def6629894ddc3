// SPDX-License-Identifier: Apache-2.0
// Reads records of flow events, written by any producer. Belongs to one thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "lib/firefly/firefly.hpp"

namespace flowd::kafka {

class RecordReader {
  public:
    explicit RecordReader(std::size_t max_size);
    RecordReader(const RecordReader&) = delete;
    RecordReader& operator=(const RecordReader&) = delete;
    ~RecordReader();

    struct Read {
        std::string_view refusal;   ///< why it is not a firefly; empty: it is one
        firefly::Firefly firefly;   ///< valid until the next call
        std::string_view datagram;  ///< `message`, or the whole record if it has none
        bool redelivered = false;   ///< the record says so
        bool differs = false;       ///< the objects of the record are of another flow or state than its message, which wins
    };
    /// `value` null: a record without a value.
    [[nodiscard]] Read read(const char* value, std::size_t size);

  private:
    struct State;  // keeps simdjson out of this header
    std::unique_ptr<State> state_;
    std::size_t max_size_;
};

}  // namespace flowd::kafka
