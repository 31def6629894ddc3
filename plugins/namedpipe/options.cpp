// SPDX-License-Identifier: Apache-2.0
#include "plugins/namedpipe/options.hpp"

namespace flowd::namedpipe {

namespace {
constexpr std::uint32_t usual_readers = 5;
}

const Table<Options>& Options::table() {
    static const Table<Options> table{
        option("pipePath", &Options::pipe_path)
            .default_value("/var/run/flowd")
            .doc("Path of the pipe. The pipe is created if it does not exist, and never removed."),
        option("buffSize", &Options::buff_size)
            .byte_size()
            .range(1, 1 << 20)
            .default_value("64 KiB")
            .doc("Size of a read. It does not limit the length of lines: a line may span several reads."),
        option("maxReaders", &Options::max_readers)
            .range(0, 1 << 20)
            .default_value(usual_readers)
            .doc("Accepted for configurations of flowd-go, without effect: one reader reads everything in order."),
    };
    return table;
}

void Options::validate(const Options& options, Problems& problems) {
    if (options.max_readers != usual_readers)
        problems.warning("maxReaders", "has no effect: one reader takes every line in order", "remove the line");
    if (!options.pipe_path.has_filename())
        problems.error("pipePath", "is a folder", "name the pipe in it: " + (options.pipe_path / "flowd").string());
}

}  // namespace flowd::namedpipe
