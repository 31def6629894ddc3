// SPDX-License-Identifier: Apache-2.0
// gzip (RFC 1952) of a text that comes piece by piece. Any thread, one at a time.
#pragma once

#include <memory>
#include <string>
#include <string_view>

struct z_stream_s;

namespace flowd::metrics {

/// At zlib's fastest level, which suffices for repeated labels.
class Gzip {
  public:
    /// Throws std::bad_alloc.
    Gzip();
    /// Appends what is ready to `out`; all of it after the last piece.
    void add(std::string_view piece, bool last, std::string& out);

  private:
    struct End {
        void operator()(z_stream_s* stream) const;
    };
    std::unique_ptr<z_stream_s, End> stream_;
};

}  // namespace flowd::metrics
