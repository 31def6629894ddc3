// SPDX-License-Identifier: Apache-2.0
#include "backends/metrics/gzip.hpp"

#include <zlib.h>

#include <array>
#include <new>

namespace flowd::metrics {

Gzip::Gzip() {
    constexpr int with_gzip_header = 15 + 16;  // window bits, see zlib.h
    constexpr int memory_level = 5;  // its table of 4,096 hashes stays in the cache; the size is that of the default, 8
    auto stream = std::make_unique<z_stream>();
    if (deflateInit2(stream.get(), Z_BEST_SPEED, Z_DEFLATED, with_gzip_header, memory_level, Z_DEFAULT_STRATEGY) != Z_OK)
        throw std::bad_alloc();
    stream_.reset(stream.release());
}

void Gzip::End::operator()(z_stream_s* stream) const {
    (void)deflateEnd(stream);
    delete stream;
}

void Gzip::add(std::string_view piece, bool last, std::string& out) {
    stream_->next_in = reinterpret_cast<Bytef*>(const_cast<char*>(piece.data()));  // zlib's API is not const-correct
    stream_->avail_in = static_cast<uInt>(piece.size());
    std::array<char, 65536> ready;
    do {
        stream_->next_out = reinterpret_cast<Bytef*>(ready.data());
        stream_->avail_out = static_cast<uInt>(ready.size());
        (void)deflate(stream_.get(), last ? Z_FINISH : Z_NO_FLUSH);  // fails only if it was called wrongly
        out.append(ready.data(), ready.size() - stream_->avail_out);
    } while (stream_->avail_out == 0);
}

}  // namespace flowd::metrics
