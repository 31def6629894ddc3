// SPDX-License-Identifier: Apache-2.0
#include "flowd/sized.hpp"

#include <gtest/gtest.h>

#include <array>

namespace flowd {
namespace {

struct V1 {
    std::uint32_t size;
    std::uint32_t a;
};
struct V2 {
    std::uint32_t size;
    std::uint32_t a;
    std::uint64_t b;
};

TEST(SizedStruct, AnOlderStructIsExtendedWithZeros) {
    const V1 old{sizeof(V1), 7};
    const V2 copy = copy_sized<V2>(&old);
    EXPECT_EQ(copy.a, 7u);
    EXPECT_EQ(copy.b, 0u);
}

TEST(SizedStruct, ANewerStructIsTruncated) {
    const V2 newer{sizeof(V2), 7, 9};
    EXPECT_EQ(copy_sized<V1>(&newer).a, 7u);
}

TEST(SizedStruct, NullIsAllZeros) {
    EXPECT_EQ(copy_sized<V2>(nullptr).size, 0u);
}

TEST(SizedRange, WalksByTheStrideWhateverTheSizes) {
    const std::array<V2, 3> newer{{{sizeof(V2), 1, 11}, {sizeof(V2), 2, 12}, {sizeof(V2), 3, 13}}};
    std::uint32_t sum = 0;
    for (const V1& one : SizedRange<V1>(reinterpret_cast<const V1*>(newer.data()), 3, sizeof(V2))) sum = sum * 10 + one.a;
    EXPECT_EQ(sum, 123u);

    const std::array<V1, 2> older{{{sizeof(V1), 4}, {sizeof(V1), 5}}};
    for (const V2& one : SizedRange<V2>(reinterpret_cast<const V2*>(older.data()), 2, sizeof(V1))) {
        EXPECT_EQ(one.b, 0u);  // not the bytes behind it
        sum = sum * 10 + one.a;
    }
    EXPECT_EQ(sum, 12345u);
}

TEST(SizedRange, ElementsOfTheSameSizeAreNotCopied) {
    const V2 one{sizeof(V2), 1, 2};
    EXPECT_EQ(&*SizedRange<V2>(&one, 1, sizeof one).begin(), &one);
}

TEST(SizedRange, NullHasNoElements) {
    EXPECT_TRUE(SizedRange<V2>(nullptr, 5, sizeof(V2)).empty());
}

}  // namespace
}  // namespace flowd
