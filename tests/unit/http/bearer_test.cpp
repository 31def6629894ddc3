// SPDX-License-Identifier: Apache-2.0
#include "lib/http/bearer.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace flowd::http {
namespace {

namespace fs = std::filesystem;
const std::string token = "0123456789abcdef0123456789abcdef";

class BearerTest : public ::testing::Test {
  protected:
    BearerTest() {
        std::string name = (fs::temp_directory_path() / "flowd-http-XXXXXX").string();
        folder_ = ::mkdtemp(name.data());
        write(token + "\n");
    }
    ~BearerTest() override { fs::remove_all(folder_); }
    void write(const std::string& text) {
        std::ofstream(path(), std::ios::trunc) << text;
        fs::permissions(path(), static_cast<fs::perms>(0640));
    }
    [[nodiscard]] fs::path path() const { return folder_ / "token"; }
    fs::path folder_;
};

TEST_F(BearerTest, AllowsItsTokenAndNothingElse) {
    const auto bearer = Bearer::from_file(path());
    ASSERT_TRUE(bearer);
    EXPECT_TRUE(bearer->allows("Bearer " + token));
    EXPECT_TRUE(bearer->allows("bearer   " + token)) << "the scheme is in any case (RFC 9110 section 11.1)";
    for (const std::string& wrong :
         {std::string(), std::string("Bearer"), std::string("Bearer "), token, "Basic " + token, "Bearer " + token + "x",
          "Bearer x" + token, "Bearer " + token.substr(1), "Bearer " + token + token, "Bearer 1" + token.substr(1)})
        EXPECT_FALSE(bearer->allows(wrong)) << wrong;
}

TEST_F(BearerTest, RefusesWhatIsNoSecret) {
    fs::permissions(path(), static_cast<fs::perms>(0644));
    const auto bearer = Bearer::from_file(path());
    ASSERT_FALSE(bearer);
    EXPECT_EQ(bearer.error().code, FLOWD_DENIED);
    EXPECT_NE(bearer.error().hint.find("chmod 0640"), std::string::npos);
}

TEST_F(BearerTest, RefusesWhatIsNoToken) {
    for (const std::string& text : {std::string(), std::string("\n"), std::string("short"), token + " " + token,
                                    token + "\n" + token + "\n", std::string(513, 'x'), std::string(32, '\0')}) {
        write(text);
        const auto bearer = Bearer::from_file(path());
        ASSERT_FALSE(bearer) << text;
        EXPECT_EQ(bearer.error().code, FLOWD_INVALID);
    }
    EXPECT_EQ(Bearer::from_file(folder_ / "absent").error().code, FLOWD_NOT_FOUND);
    EXPECT_EQ(Bearer::from_file(folder_).error().code, FLOWD_INVALID);
}

TEST_F(BearerTest, ReadsTheFileAgainWhenItChanges) {
    auto bearer = Bearer::from_file(path());
    ASSERT_TRUE(bearer);
    write("another-token-of-another-length");
    EXPECT_TRUE(bearer->refresh());
    EXPECT_TRUE(bearer->allows("Bearer another-token-of-another-length"));
    EXPECT_FALSE(bearer->allows("Bearer " + token));
    fs::remove(path());
    EXPECT_FALSE(bearer->refresh());
    EXPECT_TRUE(bearer->allows("Bearer another-token-of-another-length")) << "the old one stays";
}

}  // namespace
}  // namespace flowd::http
