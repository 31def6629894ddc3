// SPDX-License-Identifier: Apache-2.0
// The marker's programs in the kernel, run on built frames (BPF_PROG_TEST_RUN).
#pragma once

#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <string>

#include "backends/marker/program.hpp"
#include "backends/marker/tag_table.hpp"
#include "flowd/address.hpp"
#include "lib/bpf/sized.hpp"
#include "tests/unit/bpf/packet.hpp"

namespace flowd::test {

struct Ran {
    int verdict = 0;
    Bytes frame;
    marker_outcome outcome = MARKER_OUTCOMES;
};

/// The device that a test run takes for the packet's.
inline constexpr int loopback = 1;

/// A loaded marker with its table. Skips the test, with the reason, where BPF may not be loaded.
class KernelTest : public testing::Test {
  protected:
    void SetUp() override {
        if (::geteuid() != 0) GTEST_SKIP() << "needs root: loads BPF programs";
        load(with_room(1024));
    }
    static marker::Options with_room(std::uint32_t max_flows) {
        marker::Options options;
        options.max_flows = max_flows;
        return options;
    }
    void load(const marker::Options& options) {
        table_.reset();
        auto loaded =
            marker::load_program(options, [this](flowd_level, std::string_view line) { log_.append(line).append("\n"); });
        ASSERT_TRUE(loaded.ok()) << loaded.error().message << " " << loaded.error().hint << "\n" << log_;
        program_ = std::make_unique<marker::Program>(*std::move(loaded));
        table_.emplace(*program_, marker::Marks(options), options.max_flows);
    }
    void set_catch_all(flowd_tag tag) {
        ASSERT_TRUE(table_->set_catch_all(tag));
        table_->apply_catch_all();
    }
    void clear_catch_all() {
        table_->clear_catch_all();
        table_->apply_catch_all();
    }

    /// `skb`: what the packet's metadata say (BPF_PROG_TEST_RUN takes a few members), all 0 when null.
    Ran run(const Bytes& frame, int program = -1, const __sk_buff* skb = nullptr) {
        Ran ran;
        ran.frame.resize(frame.size() + 256);
        const auto before = program_->outcomes(loopback);
        auto options = bpf::sized<bpf_test_run_opts>();
        options.data_in = frame.data();
        options.data_size_in = static_cast<std::uint32_t>(frame.size());
        options.data_out = ran.frame.data();
        options.data_size_out = static_cast<std::uint32_t>(ran.frame.size());
        options.repeat = 1;
        __sk_buff context = skb != nullptr ? *skb : __sk_buff{};
        if (skb != nullptr) {
            options.ctx_in = &context;
            options.ctx_size_in = sizeof context;
        }
        const int number = bpf_prog_test_run_opts(program < 0 ? program_->ethernet() : program, &options);
        EXPECT_EQ(number, 0) << std::strerror(-number);
        ran.verdict = static_cast<int>(options.retval);
        ran.frame.resize(options.data_size_out);
        const auto after = program_->outcomes(loopback);
        EXPECT_TRUE(before.ok() && after.ok());
        std::uint64_t counted = 0;
        for (std::uint32_t i = 0; i < MARKER_OUTCOMES; ++i) {
            counted += (*after)[i] - (*before)[i];
            if ((*after)[i] != (*before)[i]) ran.outcome = static_cast<marker_outcome>(i);
        }
        EXPECT_EQ(counted, 1u) << "each packet is counted once";
        return ran;
    }

  public:
    static flowd_key key(std::uint16_t source_port, std::uint16_t destination_port, std::uint8_t protocol = 6,
                         const char* source = "2001:db8::1", const char* destination = "2001:db8::2") {
        return make_key({*Address::parse(source), source_port}, {*Address::parse(destination), destination_port}, protocol);
    }

  protected:
    std::string log_;  // of the program, which is loaded later for some devices
    std::unique_ptr<marker::Program> program_;
    std::optional<marker::TagTable> table_;
};

}  // namespace flowd::test
