// SPDX-License-Identifier: Apache-2.0
// Prints random fireflies, one per line, for judges in other languages: print_samples COUNT [SEED]
#include <cstdio>
#include <cstdlib>

#include "lib/firefly/printer.hpp"
#include "tests/unit/firefly/random_firefly.hpp"

int main(int argc, char** argv) {
    using namespace flowd::firefly;
    const long count = argc > 1 ? std::atol(argv[1]) : 100;
    RandomFireflies fireflies(argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 7);
    Printer printer({.host = "se1.example.org", .application = "flowd-cpp v0.1.0"});
    for (long i = 0; i < count; ++i) {
        const auto text = printer.print(fireflies.next_with_blocks()).text;
        std::printf("%.*s\n", static_cast<int>(text.size()), text.data());
    }
    return 0;
}
