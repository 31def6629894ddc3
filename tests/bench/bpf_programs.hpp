// SPDX-License-Identifier: Apache-2.0
// Nanoseconds of BPF programs, in groups; the first of a group is the floor of the others.
//
//   Programs programs;
//   programs.add("hot", "empty", [] { return Program{...}; });    the first of a group is its floor
//   return programs.run(argc, argv);
#pragma once

#include <benchmark/benchmark.h>
#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/bpf/sized.hpp"

namespace flowd::bench {

/// What is measured: one program, one frame.
struct Program {
    int fd = -1;
    std::vector<std::uint8_t> frame;
    int repeat = 200000;               ///< in one run
    int per_repeat = 1;                ///< of what is measured
    bool answers = false;              ///< anything but 0 from the program is a failure
    std::shared_ptr<const void> keep;  ///< lives as long as the descriptor is used
    std::uint32_t segments = 1;        ///< of the frame, on the wire
};

class Programs {
  public:
    using Make = std::function<Program()>;

    void add(const std::string& group, const std::string& name, Make make) {
        auto made = std::make_shared<std::optional<Program>>();
        benchmark::RegisterBenchmark((group + ": " + name).c_str(),
                                     [make = std::move(make), made](benchmark::State& state) {
                                         if (!made->has_value()) made->emplace(make());
                                         measure(state, **made);
                                     })
            ->UseManualTime()
            ->Iterations(1);
    }

    static int run(int argc, char** argv) {
        benchmark::Initialize(&argc, argv);
        if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
        benchmark::RunSpecifiedBenchmarks();
        return 0;
    }

  private:
    static void measure(benchmark::State& state, const Program& program) {
        auto options = bpf::sized<bpf_test_run_opts>();
        options.data_in = program.frame.data();
        options.data_size_in = static_cast<std::uint32_t>(program.frame.size());
        options.repeat = program.repeat;
        __sk_buff context{};
        if (program.segments > 1) {
            context.gso_segs = program.segments;
            context.gso_size = 1440;
            options.ctx_in = &context;
            options.ctx_size_in = sizeof context;
        }
        for (auto _ : state) {
            if (program.fd < 0) return state.SkipWithError("its program could not be loaded (needs root)");
            if (bpf_prog_test_run_opts(program.fd, &options) != 0) return state.SkipWithError("it could not be run");
            if (program.answers && options.retval != 0) return state.SkipWithError("not all was found");
            // The kernel's mean of one run, whole nanoseconds.
            state.SetIterationTime(options.duration * 1e-9 / program.per_repeat);
        }
    }
};

}  // namespace flowd::bench
