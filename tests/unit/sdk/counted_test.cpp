// SPDX-License-Identifier: Apache-2.0
#include "flowd/counted.hpp"

#include <gtest/gtest.h>

namespace flowd {
namespace {

TEST(Counted, OneThingIsNamedInTheSingular) {
    EXPECT_EQ(counted(0, "flow"), "0 flows");
    EXPECT_EQ(counted(1, "flow"), "1 flow");
    EXPECT_EQ(counted(2, "live flow"), "2 live flows");
}

}  // namespace
}  // namespace flowd
