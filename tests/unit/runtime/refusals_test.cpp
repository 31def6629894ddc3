// SPDX-License-Identifier: Apache-2.0
// What instances refuse from outside, and who sent it.
#include <thread>

#include "core/base/text.hpp"
#include "core/host/refusal_log.hpp"
#include "core/host/sender_ids.hpp"
#include "core/service/status_json.hpp"
#include "flowd/address.hpp"
#include "scripted.hpp"

namespace flowd::core::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct RefusalTest : Rig {
    static flowd_result refuse(const flowd_host* host, std::string_view reason, std::string_view sender = "192.0.2.1:9",
                               std::string_view first = "x") {
        const flowd_refusal refusal{sizeof refusal, 0, to_c(reason), to_c(sender), to_bytes(first)};
        return host->refused(host, &refusal);
    }
    [[nodiscard]] std::map<std::string, double> counts(const char* instance) const {
        std::map<std::string, double> all;
        for (const MetricSample& sample : metrics_.snapshot("flowd_instance", instance))
            if (sample.name == "refused_total")
                for (const auto& [name, value] : sample.labels)
                    if (name == "reason") all[value] = sample.value;
        return all;
    }
    [[nodiscard]] std::size_t lines() const {
        const std::string text = log();
        std::size_t count = 0;
        for (std::size_t at = 0; (at = text.find("refused: ", at)) != std::string::npos; ++at) ++count;
        return count;
    }
};

TEST_F(RefusalTest, AreCountedByReason) {
    auto x = running(config(FLOWD_PLUGIN, "x"));
    const flowd_host* host = Scripts::of("x").host;
    for (int i = 0; i < 3; ++i) EXPECT_EQ(refuse(host, "no_json"), FLOWD_OK);
    EXPECT_EQ(refuse(host, "too_long"), FLOWD_OK);
    EXPECT_EQ(counts("plugin x"), (std::map<std::string, double>{{"no_json", 3}, {"too_long", 1}}));
}

TEST_F(RefusalTest, AMalformedReasonIsInvalidAndNotCounted) {
    auto x = running(config(FLOWD_PLUGIN, "x"));
    const flowd_host* host = Scripts::of("x").host;
    for (const std::string& reason : {std::string(), std::string("Upper"), std::string("1st"), std::string("a b"),
                                      std::string("a-b"), std::string("_a"), std::string(65, 'a')})
        EXPECT_EQ(refuse(host, reason), FLOWD_INVALID) << reason;
    EXPECT_EQ(host->refused(host, nullptr), FLOWD_INVALID);
    EXPECT_EQ(refuse(host, std::string(64, 'a')), FLOWD_OK);
    EXPECT_EQ(counts("plugin x").size(), 1U);
    EXPECT_EQ(refusals_.list().size(), 1U);
}

TEST_F(RefusalTest, AnInstanceHasABoundedNumberOfReasonsAndTheRestIsCountedAsOther) {
    auto x = running(config(FLOWD_PLUGIN, "x"));
    const flowd_host* host = Scripts::of("x").host;
    for (int i = 0; i < 1000; ++i) EXPECT_EQ(refuse(host, "r" + std::to_string(i)), FLOWD_OK);
    const auto all = counts("plugin x");
    EXPECT_EQ(all.size(), RefusalLog::max_reasons + 1);
    EXPECT_EQ(all.at("other"), 1000 - RefusalLog::max_reasons);
}

TEST_F(RefusalTest, TheLast256OfAllInstancesAreKept) {
    auto x = running(config(FLOWD_PLUGIN, "x"));
    auto y = running(config(FLOWD_BACKEND, "y"));
    for (int i = 0; i < 300; ++i)
        EXPECT_EQ(refuse(Scripts::of(i % 2 == 0 ? "x" : "y").host, "bad", "sender " + std::to_string(i)), FLOWD_OK);
    const auto all = refusals_.list();
    ASSERT_EQ(all.size(), 256U);
    EXPECT_EQ(all.front().sender, "sender 44") << "the oldest first";
    EXPECT_EQ(all.back().sender, "sender 299");
    EXPECT_EQ(all.back().instance, "backend y");
    EXPECT_GT(all.back().time_ns, 0);
}

TEST_F(RefusalTest, InputIsTruncatedAndEscaped) {
    auto x = running(config(FLOWD_PLUGIN, "x"));
    ASSERT_EQ(refuse(Scripts::of("x").host, "bad", "evil\x1b[2J" + std::string(500, 's'),
                     std::string("\0\xff\\\n", 4) + std::string(500, 'f')),
              FLOWD_OK);
    const auto all = refusals_.list();
    EXPECT_EQ(all.at(0).sender.size(), 128U);
    EXPECT_EQ(all.at(0).first.size(), 128U);
    const std::string json = refusals_json(all);
    EXPECT_TRUE(is_json(json)) << json;
    EXPECT_THAT(json, HasSubstr(R"(evil\\x1b[2Js)"));
    EXPECT_THAT(json, HasSubstr(R"("firstBytes":"\\x00\\xff\\\\\\x0af)"));
    EXPECT_THAT(log(), HasSubstr(R"(refused: bad, from evil\x1b[2Js)"));
    EXPECT_THAT(log(), Not(HasSubstr("\x1b")));
}

TEST_F(RefusalTest, LogsOneLinePerMinuteAndReason) {
    Refusals refusals;
    RefusalLog one(refusals, metrics_, *logger_, "plugin x");
    RefusalLog other(refusals, metrics_, *logger_, "plugin y");
    const auto start = RefusalLog::Clock::now();
    for (int i = 0; i < 1000; ++i) one.add("bad", "a", "first", start + std::chrono::milliseconds(i));
    EXPECT_EQ(lines(), 1U);
    EXPECT_THAT(log(), HasSubstr("refused: bad, from a: first\n"));
    one.add("worse", "a", "first", start);
    other.add("bad", "a", "first", start);
    EXPECT_EQ(lines(), 3U) << "another reason, another instance";
    one.add("bad", "b", "second", start + std::chrono::seconds(61));
    EXPECT_EQ(lines(), 4U);
    EXPECT_THAT(log(), HasSubstr("refused: bad, from b: second (and 999 more for this reason since the last such line)"));
}

TEST_F(RefusalTest, MayComeFromAnyThreadAndAfterDestroy) {
    auto x = running(config(FLOWD_PLUGIN, "x"));
    const flowd_host* host = Scripts::of("x").host;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 1000; ++i) (void)refuse(host, "bad");
        });
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(counts("plugin x").at("bad"), 4000);
    ASSERT_TRUE(stops(*x));
    EXPECT_TRUE(counts("plugin x").empty()) << "its series end with it";
    EXPECT_EQ(refuse(host, "bad"), FLOWD_OK);
    EXPECT_TRUE(counts("plugin x").empty());
}

TEST(SenderIdsTest, TheHashIsSipHash24) {
    // Appendix A of the paper: key 00..0f, message 00..0e.
    std::string message;
    for (char c = 0; c < 15; ++c) message.push_back(c);
    EXPECT_EQ(sip_hash({0x0706050403020100u, 0x0f0e0d0c0b0a0908u}, message), 0xa129ca6149be45e5u);
}

struct SenderIdTest : Rig {
    static std::uint64_t id(const flowd_host* host, std::string_view identity) {
        return host->sender_id(host, to_bytes(identity));
    }
    static std::uint64_t id_of_address(const flowd_host* host, const char* address) {
        const Address parsed = *Address::parse(address);
        return id(host, {reinterpret_cast<const char*>(parsed.bytes().data()), 16});
    }
};

TEST_F(SenderIdTest, EveryInstanceGetsTheSameNumberForTheSameIdentity) {
    auto x = running(config(FLOWD_PLUGIN, "x"));
    auto y = running(config(FLOWD_PLUGIN, "y"));
    const flowd_host *a = Scripts::of("x").host, *b = Scripts::of("y").host;
    EXPECT_EQ(id_of_address(a, "192.0.2.1"), id_of_address(b, "192.0.2.1"));
    EXPECT_EQ(id_of_address(a, "192.0.2.1"), id_of_address(a, "::ffff:192.0.2.1"));
    EXPECT_NE(id_of_address(a, "192.0.2.1"), id_of_address(a, "192.0.2.2"));
    EXPECT_EQ(id(a, "uid:1000"), id(b, "uid:1000"));
    EXPECT_NE(id(a, "uid:1000"), id(a, "uid:1001"));
    EXPECT_NE(id(a, {}), 0U);
    EXPECT_NE(a->sender_id(a, {nullptr, 5}), 0U);
}

TEST_F(SenderIdTest, AllLoopbackAddressesAreOneSender) {
    auto x = running(config(FLOWD_PLUGIN, "x"));
    const flowd_host* host = Scripts::of("x").host;
    EXPECT_EQ(id_of_address(host, "127.0.0.1"), id_of_address(host, "::1"));
    EXPECT_EQ(id_of_address(host, "127.0.0.1"), id_of_address(host, "127.8.9.1"));
    EXPECT_NE(id_of_address(host, "127.0.0.1"), id_of_address(host, "192.0.2.1"));
}

TEST_F(SenderIdTest, AnotherDaemonHasOtherNumbers) {
    const SenderIds one, another;
    EXPECT_NE(one.id_of("uid:1000"), another.id_of("uid:1000"));
}

struct DirectoryTest : Rig {};

TEST_F(DirectoryTest, EachInstanceHasItsOwnDirectoryOutsideOfOthers) {
    auto plain = running(config(FLOWD_BACKEND, "firefly"));
    auto named = running(config(FLOWD_BACKEND, "firefly/regional"));
    EXPECT_STREQ(Scripts::of("firefly").host.load()->state_directory, "/var/lib/flowd-cpp/backend-firefly");
    EXPECT_STREQ(Scripts::of("firefly/regional").host.load()->state_directory,
                 "/var/lib/flowd-cpp/backend-firefly@regional");
    EXPECT_EQ(Scripts::of("firefly").host.load()->runtime_directory, nullptr) << "there is none in this daemon";
}

TEST(DirectoriesTest, WorkDirTakesPrecedenceOverSystemd) {
    ::setenv("STATE_DIRECTORY", "/var/lib/flowd-cpp:/var/lib/other", 1);
    ::setenv("RUNTIME_DIRECTORY", "/run/flowd-cpp", 1);
    EXPECT_EQ(Directories::from_environment("").state, "/var/lib/flowd-cpp");
    EXPECT_EQ(Directories::from_environment("/srv/flowd").state, "/srv/flowd");
    EXPECT_EQ(Directories::from_environment("/srv/flowd").runtime, "/run/flowd-cpp");
    ::setenv("STATE_DIRECTORY", "relative", 1);
    EXPECT_EQ(Directories::from_environment("").state, "") << "only absolute names";
    ::unsetenv("STATE_DIRECTORY");
    ::unsetenv("RUNTIME_DIRECTORY");
    EXPECT_EQ(Directories::from_environment("").state, "");
    EXPECT_EQ(Directories::from_environment("").runtime, "");
}

}  // namespace
}  // namespace flowd::core::test
