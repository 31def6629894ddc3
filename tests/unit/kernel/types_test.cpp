// SPDX-License-Identifier: Apache-2.0
// Offsets of members of the kernel's structs, against those that libbpf finds in the same file.
#include "lib/kernel/types.hpp"

#include <bpf/btf.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>

namespace flowd::kernel {
namespace {

struct FreeTypes {
    void operator()(btf* types) const { btf__free(types); }
};

const std::string running = "/sys/kernel/btf/vmlinux";

std::uint32_t offset_by_libbpf(const btf* types, const std::string& type, const std::string& member) {
    const btf_type* const found =
        btf__type_by_id(types, static_cast<__u32>(btf__find_by_name_kind(types, type.c_str(), 4)));
    for (std::uint32_t i = 0; i < btf_vlen(found); ++i)
        if (member == btf__name_by_offset(types, btf_members(found)[i].name_off))
            return btf_member_bit_offset(found, i) / 8;
    return ~0u;
}

TEST(KernelTypes, OffsetsAreThoseThatLibbpfFinds) {
    const std::unique_ptr<btf, FreeTypes> types(btf__parse(running.c_str(), nullptr));
    if (types == nullptr) GTEST_SKIP() << "the kernel has no BTF";
    for (const auto& [type, member] : {std::pair("task_struct", "group_leader"),
                                       {"task_struct", "tgid"},
                                       {"sock", "sk_err"},
                                       {"tcp_sock", "snd_cwnd"},
                                       {"cred", "uid"}}) {
        const auto offset = member_offset(type, member);
        ASSERT_TRUE(offset) << offset.error().message;
        EXPECT_EQ(*offset, offset_by_libbpf(types.get(), type, member)) << type << "." << member;
    }
}

TEST(KernelTypes, WhatIsNotThereIsAnError) {
    if (::access(running.c_str(), R_OK) != 0) GTEST_SKIP() << "the kernel has no BTF";
    EXPECT_EQ(member_offset("task_struct", "no_such_member").error().message,
              running + " has no member no_such_member of struct task_struct");
    EXPECT_FALSE(member_offset("no_such_struct", "tgid"));
    EXPECT_FALSE(member_offset("sock", "group_leader")) << "a member of another struct";
    EXPECT_EQ(member_offset("sock", "sk_err", "/no/such/file").error().code, FLOWD_NOT_FOUND);
    EXPECT_EQ(member_offset("sock", "sk_err", "/proc/self/exe").error().message,
              "/proc/self/exe is not BTF of this machine");
}

TEST(KernelTypes, AFileThatEndsEarlyIsAnError) {
    if (::access(running.c_str(), R_OK) != 0) GTEST_SKIP() << "the kernel has no BTF";
    std::string bytes(1000, '\0');
    std::ifstream(running, std::ios::binary).read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    const std::string file = testing::TempDir() + "flowd-types-" + std::to_string(::getpid());
    for (const std::size_t size : {std::size_t{0}, std::size_t{10}, std::size_t{24}, bytes.size()}) {
        std::ofstream(file, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(size));
        EXPECT_FALSE(member_offset("task_struct", "group_leader", file)) << size;
    }
    ::unlink(file.c_str());
}

}  // namespace
}  // namespace flowd::kernel
