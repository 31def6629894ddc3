// SPDX-License-Identifier: Apache-2.0
#include "lib/http/bearer.hpp"

#include <gtest/gtest.h>

namespace flowd::http {
namespace {

const std::string token = "0123456789abcdef0123456789abcdef";

TEST(BearerTest, AllowsOnlyItsToken) {
    const Bearer bearer(token);
    EXPECT_TRUE(bearer.allows("Bearer " + token));
    EXPECT_TRUE(bearer.allows("bearer   " + token)) << "the scheme is case-insensitive (RFC 9110 section 11.1)";
    for (const std::string& wrong :
         {std::string(), std::string("Bearer"), std::string("Bearer "), token, "Basic " + token, "Bearer " + token + "x",
          "Bearer x" + token, "Bearer " + token.substr(1), "Bearer " + token + token, "Bearer 1" + token.substr(1)})
        EXPECT_FALSE(bearer.allows(wrong)) << wrong;
}

TEST(BearerTest, ATokenIs16To512VisibleCharacters) {
    EXPECT_TRUE(Bearer::is_token(token));
    EXPECT_TRUE(Bearer::is_token(std::string(16, 'x')));
    EXPECT_TRUE(Bearer::is_token(std::string(512, '~')));
    for (const std::string& text : {std::string(), std::string(15, 'x'), token + " " + token, token + "\n",
                                    std::string(513, 'x'), std::string(32, '\0'), std::string(32, '\x7f')})
        EXPECT_FALSE(Bearer::is_token(text)) << text;
}

}  // namespace
}  // namespace flowd::http
