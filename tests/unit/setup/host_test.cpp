// SPDX-License-Identifier: Apache-2.0
// What setup finds on a host: interfaces of the tests, and daemons that do the same work.
#include "core/setup/host.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/modules/temporary_directory.hpp"

namespace flowd::core {
namespace fs = std::filesystem;
namespace {

using test::TemporaryDirectory;

using Names = std::vector<std::string>;

TEST(NicNames, AreReadFromTheShellScriptOfPerfSonar) {
    TemporaryDirectory directory;
    const fs::path file = directory.path() / "nics.conf";
    const auto read = [&](const std::string& text) {
        std::ofstream(file) << text;
        return nic_names_of(file);
    };
    EXPECT_EQ(read("# x\nNIC_NAMES=(\"eno1\" \"eno2.100\")\nNIC_IPV4_GWS=(\"-\" \"-\")\n"), (Names{"eno1", "eno2.100"}));
    EXPECT_EQ(read("NIC_NAMES=(\n  eno1\n  'eno2' # second\n)\n"), (Names{"eno1", "eno2"}));
    EXPECT_EQ(read("NIC_NAMES=()\n"), Names{});
    EXPECT_EQ(read("OTHER=(a)\n#NIC_NAMES=(b)\n"), Names{});
    EXPECT_EQ(read("NIC_NAMES=(eno1"), Names{"eno1"});
    fs::remove(file);
    EXPECT_EQ(nic_names_of(file), Names{});
}

TEST(LikelyNics, AreThoseOfDefaultRoutesIPv6First) {
    Nic management{"eno1", 1000, {"192.0.2.1/24"}, false, false, true};
    Nic data{"eno2", 100000, {"2001:db8::1/64"}, true, true, false};
    Nic other{"eno3", 0, {"2001:db8:1::1/64"}, true, false, false};
    EXPECT_EQ(likely_nics({management, data, other}), Names{"eno2"});
    data.default_ipv6 = false;
    EXPECT_EQ(likely_nics({management, data, other}), Names{"eno1"});
    management.default_ipv4 = false;
    EXPECT_EQ(likely_nics({management, data, other}), (Names{"eno2", "eno3"}));
    data.global_ipv6 = other.global_ipv6 = false;
    EXPECT_EQ(likely_nics({management, data, other}), (Names{"eno1", "eno2", "eno3"}));
    EXPECT_EQ(management.to_string(), "eno1: 1 Gb/s, 192.0.2.1/24, no default route");
}

/// A folder like /proc with one process.
class FakeProc {
  public:
    explicit FakeProc(const std::string& comm, const std::string& group, const std::string& pid_namespace) {
        for (const char* const process : {"self", "12"}) {
            fs::create_directories(path() / process / "ns");
            fs::create_symlink("net:[1]", path() / process / "ns/net");
            fs::create_symlink("mnt:[1]", path() / process / "ns/mnt");
        }
        fs::create_symlink("pid:[1]", path() / "self/ns/pid");
        fs::create_symlink(pid_namespace, path() / "12/ns/pid");
        std::ofstream(path() / "12/comm") << comm << '\n';
        std::ofstream(path() / "12/cmdline") << "/usr/bin/" << comm << '\0';
        std::ofstream(path() / "12/cgroup") << "1:name=systemd:/\n0::" << group << '\n';
    }
    [[nodiscard]] fs::path path() const { return directory_.path(); }

  private:
    TemporaryDirectory directory_;
};

TEST(Predecessor, AServiceIsNamedWithTheCommandThatStopsIt) {
    const FakeProc proc("flowd-go", "/system.slice/flowd-go.service", "pid:[1]");
    const auto found = find_predecessor({"flowd-go", "flowd"}, proc.path());
    ASSERT_TRUE(found);
    EXPECT_EQ(found->to_error().message, "flowd-go runs (process 12, flowd-go.service): it cannot run beside flowd-cpp");
    EXPECT_NE(found->to_error().hint.find("systemctl disable --now flowd-go.service"), std::string::npos);
}

TEST(Predecessor, OneInAContainerIsToldFromAService) {
    const FakeProc proc("flowd-go", "/machine.slice/libpod-0123.scope", "pid:[2]");
    const auto found = find_predecessor({"flowd-go"}, proc.path());
    ASSERT_TRUE(found);
    EXPECT_EQ(found->to_error().message,
              "flowd-go runs (process 12, libpod-0123.scope, in a container): it cannot run beside flowd-cpp");
    EXPECT_NE(found->to_error().hint.find("container"), std::string::npos);
}

TEST(Predecessor, AProcessThatSomebodyStartedIsToBeKilled) {
    const FakeProc proc("flowd", "/user.slice/session-3.scope", "pid:[1]");
    EXPECT_NE(find_predecessor({"flowd"}, proc.path())->to_error().hint.find("kill 12"), std::string::npos);
}

TEST(Predecessor, OtherProgramsAndOtherNetworksAreNone) {
    const FakeProc other("sshd", "/", "pid:[1]");
    EXPECT_FALSE(find_predecessor({"flowd-go"}, other.path()));
    const FakeProc far("flowd-go", "/", "pid:[2]");
    fs::remove(far.path() / "12/ns/net");
    fs::create_symlink("net:[2]", far.path() / "12/ns/net");
    EXPECT_TRUE(find_predecessor({"flowd-go"}, far.path())->own_network);
}

TEST(Predecessor, APythonDaemonIsFoundByItsCommandLine) {
    const FakeProc proc("python3", "/system.slice/flowd.service", "pid:[1]");
    std::ofstream(proc.path() / "12/cmdline")
        << "/usr/bin/python3" << '\0' << "/usr/sbin/flowd" << '\0' << "--debug" << '\0';
    const auto found = find_predecessor({"flowd-go", "flowd"}, proc.path());
    ASSERT_TRUE(found);
    EXPECT_EQ(found->to_string(), "flowd runs (process 12, flowd.service)");
    std::ofstream(proc.path() / "12/cmdline") << "/usr/bin/vi" << '\0' << "/etc/flowd" << '\0';
    EXPECT_FALSE(find_predecessor({"flowd-go", "flowd"}, proc.path()));
}

TEST(Predecessor, AZombieIsNone) {
    const FakeProc proc("flowd-go", "/", "pid:[1]");
    std::ofstream(proc.path() / "12/cmdline", std::ios::trunc);
    EXPECT_FALSE(find_predecessor({"flowd-go"}, proc.path()));
}

TEST(Predecessor, TheControlGroupsOfContainersAreUnderstood) {
    const auto unit_of = [](const std::string& group) {
        const FakeProc proc("flowd-go", group, "pid:[2]");
        return find_predecessor({"flowd-go"}, proc.path()).value().unit;
    };
    EXPECT_EQ(unit_of("/machine.slice/libpod-0123.scope/container"), "libpod-0123.scope");  // podman
    EXPECT_EQ(unit_of("/system.slice/docker-0123.scope"), "docker-0123.scope");
    EXPECT_EQ(unit_of("/docker/0123"), "");  // without systemd
    EXPECT_EQ(unit_of("/kubepods.slice/kubepods-pod1.slice/cri-containerd-0123.scope"), "cri-containerd-0123.scope");
    EXPECT_EQ(unit_of("/system.slice/flowd-go.service/libpod-payload-0123"), "flowd-go.service");  // a quadlet
}

}  // namespace
}  // namespace flowd::core
