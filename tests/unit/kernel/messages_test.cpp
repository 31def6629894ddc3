// SPDX-License-Identifier: Apache-2.0
// libbpf prints through one function of the process, and each module has a copy of the code that sets it: what libbpf says
// must reach the copy whose thread captures.
#include "lib/bpf/messages.hpp"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

namespace flowd::bpf {
namespace {

struct Copy {
    explicit Copy(const char* file) : handle(::dlopen(file, RTLD_NOW | RTLD_LOCAL)) {
        EXPECT_NE(handle, nullptr) << ::dlerror();
        begin = reinterpret_cast<void (*)()>(::dlsym(handle, "begin_capture"));
        end = reinterpret_cast<const char* (*)()>(::dlsym(handle, "end_capture"));
        complain = reinterpret_cast<void (*)(const char*)>(::dlsym(handle, "complain"));
    }
    void* handle;
    void (*begin)();
    const char* (*end)();
    void (*complain)(const char*);
};

TEST(Messages, EachModuleHearsWhatItsOwnThreadCauses) {
    const Copy one(MESSAGES_COPY_ONE), two(MESSAGES_COPY_TWO);
    ASSERT_NE(one.begin, two.begin) << "two copies";
    one.begin();
    std::string other;
    std::thread([&] {
        two.begin();
        two.complain("second");
        other = two.end();
    }).join();
    one.complain("first");
    const std::string own = one.end();
    EXPECT_NE(own.find("first"), std::string::npos) << own;
    EXPECT_EQ(own.find("second"), std::string::npos) << own;
    EXPECT_NE(other.find("second"), std::string::npos) << other;
    EXPECT_EQ(other.find("first"), std::string::npos) << other;
}

TEST(Messages, WithoutACaptureNothingIsPrinted) {
    const Copy one(MESSAGES_COPY_ONE), two(MESSAGES_COPY_TWO);
    testing::internal::CaptureStderr();
    one.complain("first");
    two.complain("second");
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(Messages, TheVerdictIsTheLastLineOfTheVerifiersLog) {
    const LogSink none;
    Messages messages(none);
    messages.take(true, false, "libbpf: prog 'flowd_x': BPF program load failed: Permission denied\n");
    messages.take(true, false,
                  "libbpf: prog 'flowd_x': -- BEGIN PROG LOAD LOG --\n0: R1=ctx()\nR1 invalid mem access 'scalar'\n"
                  "processed 12 insns (limit 1000000)\n-- END PROG LOAD LOG --\n");
    messages.take(true, false, "libbpf: failed to load object 'x'\n");
    EXPECT_EQ(messages.heard().program, "flowd_x");
    EXPECT_EQ(messages.heard().verdict, "R1 invalid mem access 'scalar'");
    EXPECT_EQ(messages.heard().warning, "libbpf: failed to load object 'x'");
}

TEST(Messages, ACaptureMayBeNested) {
    std::string outer, inner;
    const LogSink to_outer = [&](flowd_level, std::string_view line) { outer += line; };
    const LogSink to_inner = [&](flowd_level, std::string_view line) { inner += line; };
    const Copy one(MESSAGES_COPY_ONE);
    const Messages first(to_outer);
    {
        const Messages second(to_inner);
        one.complain("x");
    }
    EXPECT_EQ(outer, "");
    EXPECT_NE(inner, "");
    one.complain("x");
    EXPECT_NE(outer, "");
}

}  // namespace
}  // namespace flowd::bpf
