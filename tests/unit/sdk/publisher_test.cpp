// SPDX-License-Identifier: Apache-2.0
#include "flowd/publisher.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "flowd/testing/fake_host.hpp"

namespace flowd {
namespace {

class PublisherTest : public ::testing::Test {
  protected:
    testing::FakeHost fake_;
    std::unique_ptr<Host> host_ = Host::make(fake_.raw()).value();
};

TEST_F(PublisherTest, PublishesOnceASecondAndWhenItIsStopped) {
    std::uint64_t lines = 1;
    Counters counters(*host_, {{"lines", "lines_total", "Lines read.", &lines}});
    Publisher publisher(*host_, counters);
    EXPECT_FALSE(publisher.is_running());
    ASSERT_TRUE(publisher.start());
    EXPECT_TRUE(publisher.is_running());
    EXPECT_EQ(fake_.metric("lines_total")->value, 0);
    fake_.advance(std::chrono::seconds(1));
    EXPECT_EQ(fake_.metric("lines_total")->value, 1);
    lines = 2;
    publisher.stop();
    EXPECT_EQ(fake_.metric("lines_total")->value, 2) << "the last count is not missing";
    lines = 3;
    fake_.advance(std::chrono::seconds(5));
    EXPECT_EQ(fake_.metric("lines_total")->value, 2);
    EXPECT_FALSE(publisher.is_running());
}

TEST_F(PublisherTest, DoesWhatIsDueBeforeItPublishes) {
    std::string calls;
    Publisher publisher(
        *host_, [&] { calls += "publish "; }, [&] { calls += "due "; });
    ASSERT_TRUE(publisher.start());
    for (int i = 0; i < 2; ++i) fake_.advance(std::chrono::seconds(1));
    publisher.stop();
    EXPECT_EQ(calls, "due publish due publish publish ");
}

}  // namespace
}  // namespace flowd
