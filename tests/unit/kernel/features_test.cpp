// SPDX-License-Identifier: Apache-2.0
// What the probe says of kernels that are not at hand: their files and answers are replaced.
#include "lib/kernel/features.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace flowd::kernel {
namespace {

class FeaturesTest : public testing::Test {
  protected:
    FeaturesTest() {
        std::string pattern = (std::filesystem::temp_directory_path() / "flowd-features-XXXXXX").string();
        sources_.root = ::mkdtemp(pattern.data());
        sources_.release = "6.12.1-test";
        sources_.query_tcx = [this] { return tcx_; };
        sources_.query_bpf = [] { return EPERM; };
        sources_.query_sock_diag = [this](std::uint8_t protocol) { return protocol == IPPROTO_TCP ? tcp_ : udp_; };
        put("/sys/kernel/btf/vmlinux", "");
        put("/sys/kernel/security/lockdown", "[none] integrity confidentiality\n");
        put("/proc/sys/net/core/bpf_jit_enable", "1\n");
        put("/proc/self/mountinfo", "26 20 0:23 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
        put("/lib/modules/6.12.1-test/modules.builtin", "kernel/net/sched/sch_ingress.ko\n");
        put("/lib/modules/6.12.1-test/modules.dep", "kernel/net/sched/cls_bpf.ko.xz:\n");
    }
    ~FeaturesTest() override {
        std::error_code ignored;
        std::filesystem::remove_all(sources_.root, ignored);
    }
    void put(const std::string& path, const std::string& text) const {
        std::filesystem::create_directories(std::filesystem::path(sources_.root + path).parent_path());
        std::ofstream(sources_.root + path) << text;
    }
    void remove(const std::string& path) const { std::filesystem::remove_all(sources_.root + path); }
    [[nodiscard]] Feature look(std::string_view name) const { return Features(sources_).look(name); }
    [[nodiscard]] std::optional<Feature> lacking(std::string_view name) const { return Features(sources_).lacking(name); }

    FeatureSources sources_;
    int tcx_ = 0, tcp_ = 0, udp_ = 0;
};

TEST_F(FeaturesTest, AHealthyKernelHasEachOfThem) {
    for (const std::string_view name : Features::names()) {
        const Feature feature = look(name);
        EXPECT_EQ(feature.state, FeatureState::present) << name << ": " << feature.found;
        EXPECT_FALSE(feature.expected.empty() || feature.remedy.empty()) << name;
    }
}

TEST_F(FeaturesTest, AKernelBefore514IsTooOld) {
    for (const char* release : {"5.10.0-46-cloud-amd64", "5.13.19", "4.18.0-553.el8", "2.6.32"}) {
        sources_.release = release;
        const auto feature = lacking("kernel");
        ASSERT_TRUE(feature) << release;
        EXPECT_EQ(feature->found, std::string("this is Linux ") + release + ", which is older than 5.14");
        EXPECT_EQ(feature->error().code, FLOWD_UNSUPPORTED);
    }
    for (const char* release : {"5.14.0-503.el9", "5.15.1", "6.0.0", "7.3.4+deb13-cloud-amd64"}) {
        sources_.release = release;
        EXPECT_FALSE(lacking("kernel")) << release;
    }
    sources_.release = "unheard of";
    EXPECT_EQ(look("kernel").state, FeatureState::unknown);
}

TEST_F(FeaturesTest, AKernelWithoutBtf) {
    remove("/sys/kernel/btf");
    EXPECT_EQ(lacking("BTF")->found, "the kernel does not describe its types: there is no /sys/kernel/btf/vmlinux");
}

TEST_F(FeaturesTest, LockdownDeniesKernelMemoryInItsSecondModeOnly) {
    put("/sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
    EXPECT_FALSE(lacking("kernel-memory"));
    put("/sys/kernel/security/lockdown", "none integrity [confidentiality]\n");
    EXPECT_EQ(look("kernel-memory").state, FeatureState::denied);
    EXPECT_EQ(lacking("kernel-memory")->error().code, FLOWD_DENIED);
    remove("/sys/kernel/security");
    EXPECT_FALSE(lacking("kernel-memory"));
    put("/proc/cmdline", "quiet lockdown=confidentiality\n");
    EXPECT_EQ(look("kernel-memory").state, FeatureState::denied) << "without securityfs, the command line tells";
}

TEST_F(FeaturesTest, AJitCompilerThatIsOff) {
    put("/proc/sys/net/core/bpf_jit_enable", "0\n");
    EXPECT_EQ(lacking("JIT")->remedy, "sysctl -w net.core.bpf_jit_enable=1");
    remove("/proc/sys/net/core/bpf_jit_enable");
    EXPECT_EQ(look("JIT").state, FeatureState::unknown) << "a network namespace other than the first lacks the file";
}

TEST_F(FeaturesTest, TcxIsUnknownToAProcessWithoutRights) {
    tcx_ = EINVAL;
    EXPECT_EQ(look("TCX").state, FeatureState::missing);
    tcx_ = EPERM;
    EXPECT_EQ(look("TCX").state, FeatureState::unknown);
    EXPECT_FALSE(lacking("TCX"));
}

TEST_F(FeaturesTest, ClsactNeedsTwoModules) {
    put("/lib/modules/6.12.1-test/modules.dep", "kernel/net/sched/cls_flower.ko:\n");
    EXPECT_EQ(lacking("clsact")->found, "the kernel has no cls_bpf");
    remove("/lib/modules/6.12.1-test/modules.builtin");
    EXPECT_EQ(lacking("clsact")->found, "the kernel has no sch_ingress and cls_bpf");
    std::filesystem::create_directories(sources_.root + "/sys/module/cls_bpf");
    EXPECT_EQ(lacking("clsact")->found, "the kernel has no sch_ingress");
    std::filesystem::create_directories(sources_.root + "/sys/module/sch_ingress");
    EXPECT_EQ(look("clsact").state, FeatureState::present) << "loaded";
}

TEST_F(FeaturesTest, ModulesOfAHostAreUnknownInItsContainer) {
    remove("/lib/modules");
    EXPECT_EQ(look("clsact").state, FeatureState::unknown);
    EXPECT_FALSE(lacking("clsact"));
}

TEST_F(FeaturesTest, OneAlternativeIsSufficient) {
    tcx_ = EINVAL;
    EXPECT_FALSE(lacking("TCX|clsact"));
    remove("/lib/modules/6.12.1-test/modules.builtin");
    const auto both = lacking("TCX|clsact");
    ASSERT_TRUE(both);
    EXPECT_EQ(both->name, "TCX or clsact");
    EXPECT_EQ(both->found, "the kernel has no TCX, and the kernel has no sch_ingress");
    tcx_ = 0;
    EXPECT_FALSE(lacking("TCX|clsact"));
}

TEST_F(FeaturesTest, ControlGroupsThatAreNotMounted) {
    put("/proc/self/mountinfo", "26 20 0:23 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n");
    EXPECT_EQ(lacking("cgroup2")->remedy, "mount -t cgroup2 none /sys/fs/cgroup");
}

TEST_F(FeaturesTest, ControlGroupsOfACgroupNamespaceAreNotThoseOfTheHost) {
    put("/sys/fs/cgroup/cgroup.type", "domain\n");
    EXPECT_FALSE(lacking("cgroup2"));
    EXPECT_EQ(
        lacking("cgroup2-root")->found,
        "this process sees only a part of the control groups, at /sys/fs/cgroup: it is in a cgroup namespace of its own");
    put("/proc/self/mountinfo",
        "26 20 0:23 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n27 20 0:23 / /host rw - cgroup2 cgroup2 rw\n");
    EXPECT_EQ(look("cgroup2-root").found, "the control groups of the whole host are mounted at /host");
    put("/proc/self/mountinfo", "");
    EXPECT_FALSE(lacking("cgroup2-root")) << "cgroup2 says it";
}

TEST_F(FeaturesTest, SockDiagIsAskedForEachProtocol) {
    udp_ = ENOENT;
    EXPECT_FALSE(lacking("tcp_diag"));
    EXPECT_EQ(lacking("udp_diag")->found, "the kernel has no udp_diag: its sockets cannot be listed");
    tcp_ = EIO;
    EXPECT_EQ(look("tcp_diag").state, FeatureState::unknown);
}

TEST_F(FeaturesTest, AnUnknownFeatureIsNotLacking) {
    EXPECT_EQ(look("nonsense").state, FeatureState::unknown);
    EXPECT_FALSE(lacking("nonsense"));
}

TEST(Features, ThisKernelRunsTheTestsSoItHasWhatTheyNeed) {
    const Features features;
    for (const char* name : {"kernel", "BPF", "BTF"})
        EXPECT_EQ(features.look(name).state, FeatureState::present) << features.look(name).found;
}

}  // namespace
}  // namespace flowd::kernel
