// SPDX-License-Identifier: Apache-2.0
#include "backends/metrics/gzip.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>
#include <memory>

namespace flowd::metrics {

std::optional<std::string> gzip(std::string_view text) {
    constexpr int with_gzip_header = 15 + 16;  // window bits, see zlib.h
    z_stream stream{};
    if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, with_gzip_header, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return std::nullopt;
    const auto end = [](z_stream* one) { (void)deflateEnd(one); };
    const std::unique_ptr<z_stream, decltype(end)> ended(&stream, end);
    std::string out;
    std::array<char, 65536> piece;
    int result = Z_OK;
    while (result == Z_OK) {
        if (stream.avail_in == 0 && !text.empty()) {
            const auto size = std::min<std::size_t>(text.size(), std::numeric_limits<uInt>::max());
            stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));  // zlib's API is not const-correct
            stream.avail_in = static_cast<uInt>(size);
            text.remove_prefix(size);
        }
        stream.next_out = reinterpret_cast<Bytef*>(piece.data());
        stream.avail_out = static_cast<uInt>(piece.size());
        result = deflate(&stream, text.empty() ? Z_FINISH : Z_NO_FLUSH);
        out.append(piece.data(), piece.size() - stream.avail_out);
    }
    if (result != Z_STREAM_END) return std::nullopt;
    return out;
}

}  // namespace flowd::metrics
