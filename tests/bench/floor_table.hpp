// SPDX-License-Identifier: Apache-2.0
// Nanoseconds of BPF programs as one table: the median of nine runs of each, and what is above the floor of its group.
//
//   Programs programs;
//   programs.add("hot", "empty", [] { return Program{...}; });    the first of a group is its floor
//   return programs.run(argc, argv);
#pragma once

#include <benchmark/benchmark.h>
#include <bpf/bpf.h>

#include <cstdint>
#include <cstdio>
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
};

class Table : public benchmark::BenchmarkReporter {
  public:
    bool ReportContext(const Context&) override { return true; }
    void ReportRuns(const std::vector<Run>& runs) override {
        if (!runs.empty() && runs.front().error_occurred)
            std::fprintf(stderr, "%s: %s\n", runs.front().run_name.function_name.c_str(),
                         runs.front().error_message.c_str());
        for (const Run& run : runs) {
            if (run.run_type != Run::RT_Aggregate || run.aggregate_name != "median") continue;
            report(run.run_name.function_name, run.GetAdjustedRealTime());
        }
    }
    void Finalize() override {}

  private:
    void report(const std::string& name, double time) {
        const auto slash = name.find(": ");
        const std::string group = name.substr(0, slash);
        if (std::exchange(group_, group) != group) {
            floor_ = time;
            std::printf("\n| %s | in all | above the floor |\n|---|---|---|\n", group.c_str());
            std::printf("| floor: %s | %.1f ns | |\n", name.substr(slash + 2).c_str(), time);
        } else {
            std::printf("| %s | %.1f ns | %.1f ns |\n", name.substr(slash + 2).c_str(), time, time - floor_);
        }
        std::fflush(stdout);
    }
    std::string group_;
    double floor_ = 0;
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
            ->Iterations(1)
            ->Repetitions(9);
    }

    static int run(int argc, char** argv) {
        benchmark::Initialize(&argc, argv);
        if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
        Table table;
        benchmark::RunSpecifiedBenchmarks(&table);
        return 0;
    }

  private:
    static void measure(benchmark::State& state, const Program& program) {
        auto options = bpf::sized<bpf_test_run_opts>();
        options.data_in = program.frame.data();
        options.data_size_in = static_cast<std::uint32_t>(program.frame.size());
        options.repeat = program.repeat;
        for (auto _ : state) {
            if (program.fd < 0) return state.SkipWithError("needs root: loads BPF programs");
            if (bpf_prog_test_run_opts(program.fd, &options) != 0) return state.SkipWithError("it could not be run");
            if (program.answers && options.retval != 0) return state.SkipWithError("not all was found");
            // The kernel's mean of one run, whole nanoseconds.
            state.SetIterationTime(options.duration * 1e-9 / program.per_repeat);
        }
    }
};

}  // namespace flowd::bench
