// SPDX-License-Identifier: Apache-2.0
#include "core/host/descriptors.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "flowd/address.hpp"

namespace flowd::core {
namespace {

UniqueFd bound(int type, const char* address, std::uint16_t port) {
    sockaddr_storage storage{};
    const Endpoint endpoint{*Address::parse(address), port};
    const socklen_t length = endpoint.to(storage);
    UniqueFd fd(::socket(storage.ss_family, type | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&storage), length), 0);
    return fd;
}

bool same_file(int a, int b) {
    struct stat first {
    }, second{};
    return ::fstat(a, &first) == 0 && ::fstat(b, &second) == 0 && first.st_ino == second.st_ino &&
           first.st_dev == second.st_dev;
}

std::string port_of(const std::string& name) {
    return name.substr(name.rfind(':') + 1);
}

TEST(DescriptorName, SocketsAreNamedByTheirAddress) {
    const UniqueFd udp = bound(SOCK_DGRAM, "::1", 0);
    EXPECT_THAT(descriptor_name(udp.get()), ::testing::StartsWith("udp:[::1]:"));
    EXPECT_NE(port_of(descriptor_name(udp.get())), "0");
    const UniqueFd tcp = bound(SOCK_STREAM, "127.0.0.1", 0);
    EXPECT_THAT(descriptor_name(tcp.get()), ::testing::StartsWith("tcp:127.0.0.1:"));
}

TEST(DescriptorName, UnixSocketsAndFifosAreNamedByTheirPath) {
    const std::filesystem::path directory =
        std::filesystem::temp_directory_path() / ("flowd-fd-" + std::to_string(::getpid()));
    std::filesystem::create_directory(directory);
    const std::string fifo = directory / "fifo", path = directory / "socket";
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    const UniqueFd opened(::open(fifo.c_str(), O_RDWR | O_CLOEXEC));
    EXPECT_EQ(descriptor_name(opened.get()), "fifo:" + fifo);

    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    const UniqueFd unix_socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::bind(unix_socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(descriptor_name(unix_socket.get()), "unix:" + path);
    std::filesystem::remove_all(directory);
}

TEST(DescriptorName, FdNamesContainNoColonAndAreReversible) {
    const std::string name = "marker/link:eth0 100%";
    EXPECT_EQ(encode_fdname(name).find(':'), std::string::npos);
    EXPECT_EQ(encode_fdname(name).find(' '), std::string::npos);
    EXPECT_EQ(decode_fdname(encode_fdname(name)), name);
    EXPECT_EQ(decode_fdname("50%"), "50%");
}

struct DescriptorStoreTest : ::testing::Test {
    UniqueFd fd = bound(SOCK_DGRAM, "::1", 0);
    std::vector<std::string> stored, dropped;
    DescriptorStore store{{[this](const std::string& name, int) { stored.push_back(name); },
                           [this](const std::string& name) { dropped.push_back(name); }}};
    static constexpr DescriptorStore::Holder successor = 9;

    DescriptorStoreTest() {  // what reloads say of 1, and of 2 which came after it
        store.make_way(1);
        store.make_way(2);
    }
};

TEST_F(DescriptorStoreTest, ADescriptorOfARemainingInstanceIsBusyForOthers) {
    ASSERT_TRUE(store.keep(5, "x/socket", fd.get()));
    EXPECT_EQ(store.take(successor, "x/socket").error().code, FLOWD_BUSY);
    EXPECT_TRUE(store.take(5, "x/socket")) << "one's own";
    store.make_way(5);
    EXPECT_TRUE(store.take(successor, "x/socket"));
    store.stay(5);
    EXPECT_EQ(store.take(successor, "x/socket").error().code, FLOWD_BUSY) << "after a roll-back";
    store.release(5);
    EXPECT_EQ(store.take(successor, "x/socket").error().code, FLOWD_NOT_FOUND);
}

TEST_F(DescriptorStoreTest, ASocketFromSystemdServesOneInstance) {
    store.adopt("x/socket", std::move(fd));
    auto first = store.take(5, "x/socket");
    ASSERT_TRUE(first);
    ASSERT_TRUE(store.keep(5, "x/socket", first->get()));
    EXPECT_EQ(store.take(6, "x/socket").error().code, FLOWD_BUSY);
}

TEST_F(DescriptorStoreTest, SocketsFromSystemdThatShareAnAddressAreNumbered) {
    const auto shared = [](std::uint16_t port) {
        const int on = 1;
        UniqueFd socket(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        EXPECT_EQ(::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), 0);
        sockaddr_storage storage{};
        const socklen_t length = Endpoint{*Address::parse("::1"), port}.to(storage);
        EXPECT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&storage), length), 0);
        return socket;
    };
    const UniqueFd first = shared(0);
    const std::string name = descriptor_name(first.get());
    const UniqueFd second = shared(static_cast<std::uint16_t>(std::stoi(port_of(name))));
    for (const UniqueFd* socket : {&first, &second})
        store.adopt("flowd-cpp-fireflyp.socket", UniqueFd(::dup(socket->get())));
    EXPECT_TRUE(same_file(store.take(successor, name)->get(), first.get()));
    EXPECT_TRUE(same_file(store.take(successor, name + "/1")->get(), second.get()));
    // What the service manager kept of an earlier run comes behind them, with the names that it had there.
    store.adopt(name + "/1", UniqueFd(::dup(second.get())));
    store.adopt(name, UniqueFd(::dup(first.get())));
    EXPECT_TRUE(same_file(store.take(successor, name)->get(), first.get()));
    EXPECT_TRUE(same_file(store.take(successor, name + "/1")->get(), second.get()));
    EXPECT_FALSE(store.take(successor, name + "/2"));
}

TEST_F(DescriptorStoreTest, TakeReturnsADuplicateThatOutlivesTheOriginal) {
    ASSERT_TRUE(store.keep(1, "x/socket", fd.get()));
    auto taken = store.take(successor, "x/socket");
    ASSERT_TRUE(taken);
    EXPECT_TRUE(same_file(taken->get(), fd.get()));
    EXPECT_NE(taken->get(), fd.get());
    fd.reset();
    EXPECT_TRUE(store.take(successor, "x/socket"));
    EXPECT_EQ(store.take(successor, "y/socket").error().code, FLOWD_NOT_FOUND);
}

TEST_F(DescriptorStoreTest, ADescriptorIsDroppedWithItsLastHolder) {
    ASSERT_TRUE(store.keep(1, "x/socket", fd.get()));
    ASSERT_TRUE(store.keep(2, "x/socket", fd.get()));
    store.release(1);
    EXPECT_TRUE(store.take(successor, "x/socket")) << "the successor holds it";
    dropped.clear();
    store.release(2);
    EXPECT_FALSE(store.take(successor, "x/socket"));
    EXPECT_THAT(dropped, ::testing::ElementsAre("x/socket"));
}

TEST_F(DescriptorStoreTest, ARollbackRestoresThePredecessorsDescriptorHereAndInTheServiceManager) {
    const UniqueFd other = bound(SOCK_DGRAM, "::1", 0);
    ASSERT_TRUE(store.keep(1, "x/socket", fd.get()));
    ASSERT_TRUE(store.keep(2, "x/socket", other.get()));
    EXPECT_TRUE(same_file(store.take(successor, "x/socket")->get(), other.get()));
    store.release(2);
    EXPECT_TRUE(same_file(store.take(successor, "x/socket")->get(), fd.get()));
    EXPECT_THAT(dropped, ::testing::ElementsAre("x/socket", "x/socket")) << "each time before another is stored";
    EXPECT_THAT(stored, ::testing::ElementsAre("x/socket", "x/socket", "x/socket"));
}

TEST_F(DescriptorStoreTest, ForgetDoesNotAffectOtherHolders) {
    ASSERT_TRUE(store.keep(1, "x/socket", fd.get()));
    store.forget(2, "x/socket");
    EXPECT_TRUE(store.take(successor, "x/socket"));
    store.forget(1, "x/socket");
    EXPECT_FALSE(store.take(successor, "x/socket"));
    EXPECT_THAT(stored, ::testing::ElementsAre("x/socket"));
}

TEST_F(DescriptorStoreTest, KeepRequiresANameAndADescriptor) {
    EXPECT_EQ(store.keep(1, "", fd.get()).error().code, FLOWD_INVALID);
    EXPECT_FALSE(store.keep(1, "x", 9999));
}

TEST_F(DescriptorStoreTest, APassedSocketIsFoundByItsAddressWhateverItsName) {
    const std::string name = descriptor_name(fd.get());
    store.adopt("flowd-cpp.socket", std::move(fd));
    EXPECT_TRUE(store.take(successor, name));
    store.release(7);
    EXPECT_TRUE(store.take(successor, name)) << "it stays for a later configuration";
    ASSERT_TRUE(store.keep(1, name, store.take(successor, name)->get()));
    store.forget(1, name);
    EXPECT_TRUE(store.take(successor, name)) << "also when one forgets it that has used it";
}

TEST_F(DescriptorStoreTest, ASocketKeptUnderAModulesOwnNameIsFoundAfterACrash) {
    const std::string address = descriptor_name(fd.get());
    store.adopt("api/listener", std::move(fd));
    EXPECT_TRUE(same_file(store.take(successor, "api/listener")->get(), store.take(successor, address)->get()));
}

TEST_F(DescriptorStoreTest, ADescriptorWithoutAnAddressIsFoundByItsName) {
    int pipe[2] = {};
    ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
    const UniqueFd other(pipe[1]);
    store.adopt("marker/link:eth0", UniqueFd(pipe[0]));
    EXPECT_TRUE(store.take(successor, "marker/link:eth0"));
}

TEST_F(DescriptorStoreTest, SystemdPassesDescriptorsFrom3On) {
    // In a child: descriptor 3 of the test program is not ours to replace.
    const std::string name = descriptor_name(fd.get());
    EXPECT_EXIT(
        {
            if (::dup2(fd.get(), 3) != 3) std::exit(9);
            ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
            ::setenv("LISTEN_FDS", "1", 1);
            ::setenv("LISTEN_FDNAMES", "flowd-cpp.socket", 1);
            const std::size_t count = store.adopt_from_systemd();
            std::exit(count == 1 && store.take(successor, name) && ::getenv("LISTEN_FDS") == nullptr ? 0 : 1);
        },
        ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace flowd::core
