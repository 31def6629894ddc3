// SPDX-License-Identifier: Apache-2.0
// What the objects of the marker and the meter ask of a kernel, read from the objects themselves: EL9's 5.14 has to have
// all of it.
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <set>
#include <string>

#include "bpf/marker_types.h"
#include "bpf/meter_types.h"
#include "marker.skel.h"
#include "meter.skel.h"

namespace flowd::test {
namespace {

// Number (include/uapi/linux/bpf.h), name and the release that brought it to programs of type sched_cls.
const std::map<int, std::string> helpers_of_5_14{
    {BPF_FUNC_map_lookup_elem, "map_lookup_elem 3.18"},
    {BPF_FUNC_map_update_elem, "map_update_elem 3.18"},
    {BPF_FUNC_map_delete_elem, "map_delete_elem 3.18"},
    {BPF_FUNC_skb_store_bytes, "skb_store_bytes 4.1"},
    {BPF_FUNC_l3_csum_replace, "l3_csum_replace 4.1"},
    {BPF_FUNC_skb_load_bytes, "skb_load_bytes 4.5"},
    {BPF_FUNC_skb_adjust_room, "skb_adjust_room 4.13"},
    {BPF_FUNC_skb_cgroup_id, "skb_cgroup_id 4.18"},
    {BPF_FUNC_sk_fullsock, "sk_fullsock 5.1"},
    {BPF_FUNC_tcp_sock, "tcp_sock 5.1"},
    {BPF_FUNC_sk_storage_get, "sk_storage_get 5.2"},
    {BPF_FUNC_check_mtu, "check_mtu 5.12"},
    {BPF_FUNC_ktime_get_ns, "ktime_get_ns 4.1"},
    {BPF_FUNC_get_current_task, "get_current_task 4.16"},
    {BPF_FUNC_get_socket_cookie, "get_socket_cookie 4.12"},
    {BPF_FUNC_map_push_elem, "map_push_elem 4.20"},
    {BPF_FUNC_map_pop_elem, "map_pop_elem 4.20"},
    {BPF_FUNC_probe_read_kernel, "probe_read_kernel 5.5"},
    {BPF_FUNC_spin_lock, "spin_lock 5.1"},
    {BPF_FUNC_spin_unlock, "spin_unlock 5.1"},
    {BPF_FUNC_ringbuf_output, "ringbuf_output 5.8"},
    {BPF_FUNC_ktime_get_coarse_ns, "ktime_get_coarse_ns 5.11"},
};
const std::set<int> maps_of_5_14{BPF_MAP_TYPE_HASH,     BPF_MAP_TYPE_ARRAY,          BPF_MAP_TYPE_PERCPU_ARRAY,
                                 BPF_MAP_TYPE_LRU_HASH, BPF_MAP_TYPE_SK_STORAGE,     BPF_MAP_TYPE_STACK,
                                 BPF_MAP_TYPE_RINGBUF,  BPF_MAP_TYPE_LRU_PERCPU_HASH};
// Atomics with a result and 32-bit jumps came with 5.12; sign extension, byte swaps and long jumps (v4) with 6.6.
bool is_of_5_14(const bpf_insn& insn) {
    const unsigned cls = BPF_CLASS(insn.code);
    if (cls == BPF_LDX && BPF_MODE(insn.code) != BPF_MEM) return false;                              // LDSX
    if ((cls == BPF_ALU || cls == BPF_ALU64) && BPF_OP(insn.code) == BPF_MOV) return insn.off == 0;  // MOVSX
    if (cls == BPF_ALU64 && BPF_OP(insn.code) == BPF_END) return false;                              // BSWAP
    if (cls == BPF_JMP32 && BPF_OP(insn.code) == BPF_JA) return false;
    return true;
}

struct Built {
    const char* name;
    const void* (*elf)(std::size_t* size);
    int witness;  ///< a helper of a function that others call: the look at the instructions must see all of them
    int maps;     ///< at least
};

class Kernel514 : public testing::TestWithParam<Built> {
  protected:
    void SetUp() override {
        // Loaded, so that each program has the functions that it calls behind it.
        if (::geteuid() != 0) GTEST_SKIP() << "needs root: loads BPF programs";
        std::size_t size = 0;
        const void* elf = GetParam().elf(&size);
        object_.reset(bpf_object__open_mem(elf, size, nullptr));
        ASSERT_NE(object_, nullptr);
        ASSERT_EQ(bpf_object__load(object_.get()), 0);
    }
    struct Closer {
        void operator()(bpf_object* object) const { bpf_object__close(object); }
    };
    std::unique_ptr<bpf_object, Closer> object_;
};

TEST_P(Kernel514, HasEveryHelperAndInstruction) {
    std::set<int> used;
    int instructions = 0;
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object_.get()) {
        const bpf_insn* insns = bpf_program__insns(program);
        for (std::size_t i = 0; i < bpf_program__insn_cnt(program); ++i) {
            ++instructions;
            EXPECT_TRUE(is_of_5_14(insns[i])) << bpf_program__name(program) << " instruction " << i;
            if (insns[i].code != (BPF_JMP | BPF_CALL) || insns[i].src_reg == BPF_PSEUDO_CALL) continue;
            EXPECT_EQ(insns[i].src_reg, 0) << "a kernel function: those are no stable interface";
            used.insert(insns[i].imm);
        }
    }
    EXPECT_GT(instructions, 500);
    for (const int helper : used) EXPECT_TRUE(helpers_of_5_14.contains(helper)) << "helper " << helper;
    EXPECT_TRUE(used.contains(GetParam().witness));
}

TEST_P(Kernel514, HasEveryMapType) {
    int maps = 0;
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object_.get()) {
        ++maps;
        EXPECT_TRUE(maps_of_5_14.contains(static_cast<int>(bpf_map__type(map)))) << bpf_map__name(map);
    }
    EXPECT_GE(maps, GetParam().maps);
}

INSTANTIATE_TEST_SUITE_P(Objects, Kernel514,
                         testing::Values(Built{"marker", &marker_bpf::elf_bytes, BPF_FUNC_skb_adjust_room, 6},
                                         Built{"meter", &meter_bpf::elf_bytes, BPF_FUNC_map_pop_elem, 6}),
                         [](const testing::TestParamInfo<Built>& built) { return std::string(built.param.name); });

}  // namespace
}  // namespace flowd::test
