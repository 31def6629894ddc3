// SPDX-License-Identifier: Apache-2.0
// What each program costs the verifier of this kernel. Older kernels need several times as many instructions: 6.1 is the
// one to look at (scripts/kernel-test), and is closest to EL9's 5.14. A load of a million is refused.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "bpf/marker_types.h"
#include "bpf/meter_types.h"
#include "marker.skel.h"
#include "meter.skel.h"
#include "skops.skel.h"
#include "watch.skel.h"

namespace flowd::test {
namespace {

constexpr std::uint32_t most = 30000;

struct Built {
    const char* name;
    const void* (*elf)(std::size_t* size);
};

class Cost : public testing::TestWithParam<Built> {};

struct CloseObject {
    void operator()(bpf_object* object) const { bpf_object__close(object); }
};

TEST_P(Cost, IsFarFromTheLimitOfTheVerifier) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: loads BPF programs";
    std::size_t size = 0;
    const void* elf = GetParam().elf(&size);
    const std::unique_ptr<bpf_object, CloseObject> object(bpf_object__open_mem(elf, size, nullptr));
    ASSERT_NE(object, nullptr);
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object.get()) {
        if (!std::string_view(bpf_map__name(map)).ends_with(".rodata")) continue;
        // Everything on, so that no code is left out.
        std::size_t bytes = 0;
        auto* const constants = static_cast<unsigned char*>(const_cast<void*>(bpf_map__initial_value(map, &bytes)));
        if (bytes == sizeof(meter_config)) {
            const meter_config config{1023, 1024, 1};
            std::memcpy(constants, &config, sizeof config);
        } else if (bytes == sizeof(marker_config)) {
            marker_config config{};
            std::memcpy(&config, constants, sizeof config);
            config.carriers = MARKER_CARRIER_LABEL | MARKER_CARRIER_HEADERS | MARKER_CARRIER_DSCP;
            config.keep_explicit = config.replace_dscp = config.forwarded = 1;
            config.buckets = 1024;
            std::memcpy(constants, &config, sizeof config);
        }
    }
    ASSERT_EQ(bpf_object__load(object.get()), 0);
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object.get()) {
        bpf_prog_info info{};
        __u32 length = sizeof info;
        ASSERT_EQ(bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &length), 0);
        std::printf("verified %s %u\n", bpf_program__name(program), info.verified_insns);
        EXPECT_GT(info.verified_insns, 0u);
        EXPECT_LT(info.verified_insns, most) << bpf_program__name(program);
    }
}

INSTANTIATE_TEST_SUITE_P(Objects, Cost,
                         testing::Values(Built{"marker", &marker_bpf::elf_bytes}, Built{"meter", &meter_bpf::elf_bytes},
                                         Built{"watch", &watch_bpf::elf_bytes}, Built{"skops", &skops_bpf::elf_bytes}),
                         [](const testing::TestParamInfo<Built>& built) { return std::string(built.param.name); });

}  // namespace
}  // namespace flowd::test
