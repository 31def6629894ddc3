// SPDX-License-Identifier: Apache-2.0
// How a failure to load an object is explained. The failures are those of other kernels.
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <string>

#include "lib/bpf/error.hpp"
#include "lib/kernel/capabilities.hpp"

namespace flowd::bpf {
namespace {

constexpr std::array<std::string_view, 2> needs{"kernel", "BPF"};
constexpr const char* what = "loading the BPF object x into the kernel";

kernel::FeatureSources sources(const char* release) {
    kernel::FeatureSources all;
    all.root = "/nonexistent";
    all.release = release;
    all.query_tcx = [] { return 0; };
    all.query_bpf = [] { return 0; };
    all.query_sock_diag = [](std::uint8_t) { return 0; };
    return all;
}

Error explain(int number, const Heard& heard, const char* release = "6.12.1") {
    return load_error(number, what, heard, needs, kernel::Features(sources(release)));
}

TEST(LoadError, AnOldKernelIsTheReasonWhateverLibbpfSaysLast) {
    const Error error = explain(-EINVAL, {"libbpf: failed to load object 'x'", "prog", "unknown opcode db"}, "5.10.0-46");
    EXPECT_EQ(error.code, FLOWD_UNSUPPORTED);
    EXPECT_EQ(error.message, std::string(what) + ": this is Linux 5.10.0-46, which is older than 5.14");
    EXPECT_EQ(error.hint, "boot a kernel of the distribution, 5.14 or newer");
}

TEST(LoadError, AVerdictOfTheVerifierNamesTheProgramAndTheReason) {
    for (const int number : {EACCES, EINVAL, E2BIG}) {
        if (number == EACCES && !kernel::missing_capabilities().empty()) continue;  // then that is the reason
        const Error error = explain(-number, {"libbpf: failed to load object 'x'", "flowd_x", "R1 invalid mem access"});
        EXPECT_EQ(error.code, FLOWD_UNSUPPORTED);
        EXPECT_NE(error.message.find("rejects the program flowd_x: R1 invalid mem access"), std::string::npos)
            << error.message;
        EXPECT_EQ(error.hint.find("LSM"), std::string::npos) << error.hint;
    }
}

TEST(LoadError, AnInvalidArgumentIsNoWrongConfiguration) {
    const Error error = explain(-EINVAL, {"libbpf: map 'm': failed to create", "", ""});
    EXPECT_EQ(error.code, FLOWD_UNSUPPORTED);
    EXPECT_NE(error.message.find("(libbpf: map 'm': failed to create)"), std::string::npos) << error.message;
    EXPECT_EQ(system_error(EINVAL, "x").code, FLOWD_UNSUPPORTED);
}

TEST(LoadError, AnErrnoOfTheKernelAloneHasAText) {
    EXPECT_EQ(system_error(-524, "x").message, "x: Operation not supported");
}

TEST(LoadError, ADeniedCallWithAllCapabilitiesPointsToSecurityModules) {
    if (!kernel::missing_capabilities().empty()) GTEST_SKIP() << "needs root: has no capabilities";
    const Error error = explain(-EPERM, {});
    EXPECT_EQ(error.code, FLOWD_DENIED);
    EXPECT_NE(error.hint.find("LSM"), std::string::npos);
}

}  // namespace
}  // namespace flowd::bpf
