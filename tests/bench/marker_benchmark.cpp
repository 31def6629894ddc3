// SPDX-License-Identifier: Apache-2.0
// Nanoseconds that the marker adds to a packet, by BPF_PROG_TEST_RUN. Needs root.
//
// Hot: many runs over one frame, which keeps every cache warm; the floor is a program that only returns. Cold: each run
// makes the frame a packet of another flow first, which alone is the floor. Look-ups: many in one run of a program that
// does nothing else, in the marker's table, in the kernel's hash and in the storage of sockets, the same flows in the same
// order.
#include <linux/bpf.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "backends/marker/program.hpp"
#include "backends/marker/tag_table.hpp"
#include "flowd/address.hpp"
#include "flowd/unique_fd.hpp"
#include "tests/bench/bpf_programs.hpp"
#include "tests/bench/look_up.hpp"
#include "tests/unit/bpf/packet.hpp"

namespace {

using flowd::bench::Program;
using flowd::bench::Programs;
using flowd::test::Bytes;
using flowd::test::operator+;

constexpr std::uint16_t known_port = 1024;
constexpr std::uint16_t unknown_port = 1023;

Bytes segment(std::uint16_t source_port) {
    return flowd::test::ethernet(0x86dd) + flowd::test::Ip6{}.over(flowd::test::tcp(source_port, 1094, 1000));
}

/// More than 64 kB, as older kernels send it: with a jumbo option (RFC 2675).
Bytes big_tcp() {
    return flowd::test::ethernet(0x86dd) + flowd::test::Ip6{.next = 0, .payload_length = 0}.over(
                                               flowd::test::extension(6, 0, flowd::test::tcp(known_port, 1094, 1000)));
}

Bytes ipv4() {
    return flowd::test::ethernet(0x0800) + Bytes(1000, 0x45);
}

flowd_key key(std::uint16_t source_port) {
    return flowd::make_key({*flowd::Address::parse("2001:db8::1"), source_port},
                           {*flowd::Address::parse("2001:db8::2"), 1094}, 6);
}

/// A marker with so many flows in its table, of which one is from known_port.
struct Marker {
    struct What {
        std::uint32_t flows = 0;
        bool has_catch_all = false;
        bool reads_sockets = false;
    };
    explicit Marker(What what) {
        flowd::marker::Options options;
        auto loaded = flowd::marker::load_program(options, {});
        if (!loaded) return;
        program.emplace(*std::move(loaded));
        table.emplace(*program, flowd::marker::Marks(options), options.max_flows);
        for (std::uint32_t i = 0; i < what.flows; ++i) {
            flowd_key each = key(static_cast<std::uint16_t>(known_port + i % 60000));
            each.source[8] = static_cast<std::uint8_t>(i / 60000);
            table->put(each, {2, 16});
        }
        if (what.has_catch_all && table->set_catch_all({3, 2})) table->apply_catch_all();
        table->set_socket_tags(what.reads_sockets);
    }
    std::optional<flowd::marker::Program> program;
    std::optional<flowd::marker::TagTable> table;
};

Programs::Make marker(Marker::What what, Bytes frame, std::uint32_t segments = 1) {
    return [what, frame = std::move(frame), segments] {
        auto made = std::make_shared<Marker>(what);
        return Program{made->program ? made->program->ethernet() : -1, frame, 200000, 1, false, made, segments};
    };
}

Program empty() {
    const bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .src_reg = 0, .off = 0, .imm = -1},
                             {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    auto fd = std::make_shared<flowd::UniqueFd>(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "empty", "GPL", code, 2, nullptr));
    return {fd->get(), segment(known_port), 200000, 1, false, fd};
}

void add_hot(Programs& programs) {
    const std::string group = "hot";
    programs.add(group, "empty program", empty);
    programs.add(group, "match, 1 flow in the table", marker({1}, segment(known_port)));
    programs.add(group, "match, 1,000 flows in the table", marker({1000}, segment(known_port)));
    programs.add(group, "match, 100,000 flows in the table", marker({100000}, segment(known_port)));
    programs.add(group, "match, 64 kB in 45 segments (GSO)", marker({1000}, segment(known_port), 45));
    programs.add(group, "match, 512 kB in 364 segments (BIG TCP)", marker({1000}, big_tcp(), 364));
    programs.add(group, "miss, 1,000 flows in the table", marker({1000}, segment(unknown_port)));
    programs.add(group, "miss, 100,000 flows in the table", marker({100000}, segment(unknown_port)));
    programs.add(group, "catch-all, table empty", marker({0, true}, segment(unknown_port)));
    programs.add(group, "catch-all, 1,000 flows in the table", marker({1000, true}, segment(unknown_port)));
    programs.add(group, "the same, sockets looked at", marker({1000, true, true}, segment(unknown_port)));
    programs.add(group, "nothing to mark", marker({0}, segment(unknown_port)));
    programs.add(group, "IPv4, passed through", marker({1000}, ipv4()));
}

/// One of the programs of look_up.bpf.c. Several rows of a group share what is loaded.
class Loaded {
  public:
    explicit Loaded(LookUp::What what) : what_(what) {}
    [[nodiscard]] Programs::Make program(const char* name, int repeat, int per_repeat = 1) const {
        return [what = what_, made = made_, name, repeat, per_repeat] {
            if (!*made) *made = std::make_shared<LookUp>(what);
            const std::shared_ptr<LookUp> look_up = *made;
            const Bytes frame = flowd::test::ethernet(0x86dd) +
                                flowd::test::Ip6{.source = "2001:db8:a00::1", .destination = "2001:db8:a00::2"}.over(
                                    flowd::test::tcp(0, 0, 1000));
            return Program{
                look_up->is_loaded() ? look_up->program(name) : -1, frame, repeat, per_repeat, per_repeat > 1, look_up};
        };
    }

  private:
    LookUp::What what_;
    std::shared_ptr<std::shared_ptr<LookUp>> made_ = std::make_shared<std::shared_ptr<LookUp>>();
};

void add_cold(Programs& programs, std::uint32_t flows, const std::string& number) {
    const Loaded look_up({flows});
    const Loaded with_catch_all({flows, false, {3, 2}});
    const int repeat = static_cast<int>(flows * 2);
    const std::string packets = "cold, " + number + " flows in turn";
    programs.add(packets, "the frame alone", look_up.program("draw_frame", repeat));
    programs.add(packets, "match", look_up.program("mark_known", repeat));
    programs.add(packets, "miss", look_up.program("mark_unknown", repeat));
    programs.add(packets, "catch-all, none of them in the table", with_catch_all.program("mark_unknown", repeat));
}

void add_look_ups(Programs& programs, std::uint32_t flows, const std::string& number) {
    const Loaded look_up({flows});
    const int repeat = static_cast<int>(flows / LOOK_UPS * 2 + 200);
    const std::string keys = "look-up among " + number;
    programs.add(keys, "the key and its hash", look_up.program("draw", repeat, LOOK_UPS));
    programs.add(keys, "the marker's table", look_up.program("table", repeat, LOOK_UPS));
    programs.add(keys, "the kernel's hash", look_up.program("kernel_hash", repeat, LOOK_UPS));
}

void add_sockets(Programs& programs, std::uint32_t count, const std::string& number) {
    const Loaded look_up({count, true});
    const int repeat = static_cast<int>(count / LOOK_UPS * 2 + 200);
    const std::string sockets = number + " sockets in turn";
    programs.add(sockets, "getting at the socket", look_up.program("reach_socket", repeat, LOOK_UPS));
    programs.add(sockets, "and its storage", look_up.program("socket_storage", repeat, LOOK_UPS));
}

}  // namespace

int main(int argc, char** argv) {
    Programs programs;
    add_hot(programs);
    add_cold(programs, 131072, "131,072");
    add_cold(programs, 1000000, "1,000,000");
    add_look_ups(programs, 1, "1");
    add_look_ups(programs, 131072, "131,072");
    add_look_ups(programs, 1000000, "1,000,000");
    add_sockets(programs, 1, "1");
    add_sockets(programs, 131072, "131,072");
    return Programs::run(argc, argv);
}
