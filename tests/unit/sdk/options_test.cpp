// SPDX-License-Identifier: Apache-2.0
#include "flowd/options.hpp"

#include <gmock/gmock.h>

#include <string>

#include "flowd/testing/config.hpp"

namespace flowd {
namespace {

using testing::Config;
using ::testing::ElementsAre;

struct Receiver {
    std::string host;
    std::uint16_t port = 0;
    static const Table<Receiver>& table() {
        static const Table<Receiver> table{
            option("host", &Receiver::host).host().required().doc("Where to."),
            option("port", &Receiver::port).default_value(10514).doc("Which port."),
        };
        return table;
    }
};

enum class Mode { mark, observe };

struct Everything {
    bool flag = false;
    std::uint16_t port = 1;
    std::int64_t offset = 0;
    double ratio = 0;
    std::string name = "as initialised";
    std::string word;
    Mode mode = Mode::observe;
    std::vector<Mode> modes;
    std::chrono::milliseconds period{};
    std::uint64_t bytes = 0;
    Address address;
    Network network;
    std::filesystem::path program;
    Receiver main;
    std::vector<Receiver> receivers;
    std::vector<std::string> interfaces;
    std::vector<bool> flags;
    std::map<std::string, Address> mapping;
    std::optional<std::uint16_t> maybe;
    std::optional<Receiver> spare;
    static const Table<Everything>& table() {
        static const Table<Everything> table{
            option("flag", &Everything::flag).default_value(true).doc("A flag."),
            option("port", &Everything::port).aliases({"bindPort"}).doc("A port."),
            option("offset", &Everything::offset).doc("An offset."),
            option("ratio", &Everything::ratio).default_value("0.5").doc("A ratio."),
            option("name", &Everything::name).secret().doc("A name."),
            option("word", &Everything::word).choices({"lean", "full"}).default_value("lean").doc("A word."),
            choice("mode", &Everything::mode, {{"mark", Mode::mark}, {"observe", Mode::observe}})
                .default_value("mark")
                .doc("A mode."),
            choice("modes", &Everything::modes, {{"mark", Mode::mark}, {"observe", Mode::observe}}).doc("Modes."),
            option("period", &Everything::period)
                .range(std::chrono::milliseconds(1), std::chrono::hours(1))
                .doc("A period."),
            option("bytes", &Everything::bytes).byte_size().default_value("64 MiB").doc("A size."),
            option("address", &Everything::address).default_value("::1").doc("An address."),
            option("network", &Everything::network).default_value("192.0.2.0/24").doc("A network."),
            option("program", &Everything::program).trusted().doc("A program."),
            option("main", &Everything::main).doc("A group."),
            option("receivers", &Everything::receivers).length(0, 4).doc("A list of groups."),
            option("interfaces", &Everything::interfaces).default_value("[lo, eth0]").doc("A list."),
            option("flags", &Everything::flags).doc("Flags."),
            option("mapping", &Everything::mapping).doc("A map."),
            option("maybe", &Everything::maybe).deprecated_by("port").doc("Maybe."),
            option("spare", &Everything::spare).doc("A group that may be absent."),
        };
        return table;
    }
};

const flowd_option& row(std::string_view name) {
    const auto& table = Everything::table();
    for (std::size_t i = 0; i < table.size(); ++i)
        if (name == table.rows()[i].name) return table.rows()[i];
    throw std::out_of_range(std::string(name));
}

Config config() {
    return Config(Everything::table().rows(), Everything::table().size(), sizeof(flowd_option));
}

TEST(OptionTable, TheTypeOfTheMemberChoosesTheTypeOfTheOption) {
    EXPECT_EQ(row("flag").type, FLOWD_OPTION_BOOLEAN);
    EXPECT_EQ(row("port").type, FLOWD_OPTION_INTEGER);
    EXPECT_EQ(row("ratio").type, FLOWD_OPTION_NUMBER);
    EXPECT_EQ(row("name").type, FLOWD_OPTION_STRING);
    EXPECT_EQ(row("word").type, FLOWD_OPTION_CHOICE);
    EXPECT_EQ(row("mode").type, FLOWD_OPTION_CHOICE);
    EXPECT_EQ(row("period").type, FLOWD_OPTION_DURATION);
    EXPECT_EQ(row("bytes").type, FLOWD_OPTION_SIZE);
    EXPECT_EQ(row("address").type, FLOWD_OPTION_ADDRESS);
    EXPECT_EQ(row("network").type, FLOWD_OPTION_NETWORK);
    EXPECT_EQ(row("program").type, FLOWD_OPTION_PATH);
    EXPECT_EQ(row("main").type, FLOWD_OPTION_GROUP);
    EXPECT_EQ(row("receivers").type, FLOWD_OPTION_LIST);
    EXPECT_EQ(row("mapping").type, FLOWD_OPTION_MAP);
    EXPECT_EQ(row("maybe").type, FLOWD_OPTION_INTEGER);
}

TEST(OptionTable, AnIntegerIsBoundedByItsType) {
    EXPECT_EQ(row("port").flags, std::uint32_t(FLOWD_OPTION_MINIMUM | FLOWD_OPTION_MAXIMUM));
    EXPECT_EQ(row("offset").flags, 0u);
    EXPECT_EQ(row("bytes").flags, std::uint32_t(FLOWD_OPTION_MINIMUM));
    EXPECT_EQ(row("port").minimum, 0);
    EXPECT_EQ(row("port").maximum, 65535);
    EXPECT_EQ(row("offset").minimum, 0);
    EXPECT_EQ(row("offset").maximum, 0);
}

struct Bounded {
    double ratio = 0;
    std::chrono::milliseconds period{};
    std::int32_t level = 0;
    std::uint16_t port = 0;
    std::string token;
    static const Table<Bounded>& table() {
        static const Table<Bounded> table{
            option("ratio", &Bounded::ratio).at_least(0).doc("At least nothing."),
            option("period", &Bounded::period).at_most(std::chrono::seconds(3)).doc("At most three seconds."),
            option("level", &Bounded::level).range(-0.5, 0).doc("Between two bounds."),
            option("port", &Bounded::port).doc("Any port."),
            option("token", &Bounded::token).secret().or_file().doc("A secret."),
        };
        return table;
    }
};

TEST(OptionTable, ABoundHoldsWhenItsFlagIsSet) {
    constexpr std::uint32_t both = FLOWD_OPTION_MINIMUM | FLOWD_OPTION_MAXIMUM;
    const flowd_option* rows = Bounded::table().rows();
    EXPECT_EQ(rows[0].flags & both, std::uint32_t(FLOWD_OPTION_MINIMUM));
    EXPECT_EQ(rows[0].minimum, 0);
    EXPECT_EQ(rows[0].maximum, 0);
    EXPECT_EQ(rows[1].flags & both, std::uint32_t(FLOWD_OPTION_MAXIMUM));
    EXPECT_EQ(rows[1].maximum, 3e9);
    EXPECT_EQ(rows[2].flags & both, both);
    EXPECT_EQ(rows[2].minimum, -0.5);
    EXPECT_EQ(rows[2].maximum, 0);
    EXPECT_EQ(rows[3].flags & both, both);
    EXPECT_EQ(rows[3].maximum, 65535);
}

TEST(OptionTable, ARowHasNoBoundWithoutItsFlag) {
    for (std::size_t i = 0; i < Everything::table().size(); ++i) {
        const flowd_option& one = Everything::table().rows()[i];
        EXPECT_TRUE((one.flags & FLOWD_OPTION_MINIMUM) != 0 || one.minimum == 0) << one.name;
        EXPECT_TRUE((one.flags & FLOWD_OPTION_MAXIMUM) != 0 || one.maximum == 0) << one.name;
    }
}

TEST(OptionTable, ASecretMayBeInAFile) {
    const flowd_option& token = Bounded::table().rows()[4];
    EXPECT_EQ(token.flags, std::uint32_t(FLOWD_OPTION_SECRET | FLOWD_OPTION_FILE));
}

TEST(OptionTable, ABareNumberOfADurationIsInItsOwnUnit) {
    EXPECT_STREQ(row("period").unit, "ms");
    EXPECT_EQ(row("period").minimum, 1'000'000);
    EXPECT_EQ(row("period").maximum, 3'600'000'000'000);
}

TEST(OptionTable, RowsOfListsAndGroupsDescribeTheirItems) {
    const flowd_option& list = row("receivers");
    EXPECT_EQ(list.maximum, 4);
    ASSERT_EQ(list.field_count, 1u);
    EXPECT_EQ(list.fields->type, FLOWD_OPTION_GROUP);
    ASSERT_EQ(list.fields->field_count, 2u);
    EXPECT_STREQ(list.fields->fields[0].name, "host");
    EXPECT_NE(list.fields->fields[0].flags & FLOWD_OPTION_REQUIRED, 0u);
    EXPECT_EQ(list.fields->fields[0].type, FLOWD_OPTION_HOST);
    const flowd_option& modes = row("modes");
    ASSERT_EQ(modes.fields->type, FLOWD_OPTION_CHOICE);
    EXPECT_STREQ(modes.fields->choices[1], "observe");
    EXPECT_EQ(modes.fields->choices[2], nullptr);
}

TEST(OptionTable, FlagsAliasesAndSuccessorsReachTheRow) {
    EXPECT_STREQ(row("port").aliases[0], "bindPort");
    EXPECT_EQ(row("port").aliases[1], nullptr);
    EXPECT_EQ(row("flag").aliases, nullptr);
    EXPECT_NE(row("name").flags & FLOWD_OPTION_SECRET, 0u);
    EXPECT_NE(row("program").flags & FLOWD_OPTION_TRUSTED, 0u);
    EXPECT_STREQ(row("maybe").deprecated_by, "port");
    EXPECT_STREQ(row("flag").default_text, "true");
    EXPECT_EQ(row("port").default_text, nullptr);
}

TEST(OptionTable, DefaultsAreReadAndAbsentMembersStayAsInitialised) {
    auto empty = config();
    const auto read = Everything::table().read(empty.value());
    ASSERT_TRUE(read);
    EXPECT_TRUE(read->flag);
    EXPECT_EQ(read->port, 1);
    EXPECT_EQ(read->name, "as initialised");
    EXPECT_EQ(read->mode, Mode::mark);
    EXPECT_EQ(read->bytes, 64u << 20);
    EXPECT_EQ(read->address.to_string(), "::1");
    EXPECT_EQ(read->network.to_string(), "192.0.2.0/24");
    EXPECT_THAT(read->interfaces, ElementsAre("lo", "eth0"));
    EXPECT_EQ(read->main.port, 10514);  // defaults of a group that is not written
    EXPECT_FALSE(read->maybe.has_value());
    EXPECT_FALSE(read->spare.has_value());
}

TEST(OptionTable, EveryTypeIsReadBack) {
    auto written = config();
    written.set("flag", "false")
        .set("bindPort", "7777")
        .set("offset", "-5")
        .set("ratio", "0.25")
        .set("mode", "observe")
        .set("modes", {"observe", "mark"})
        .set("period", "3s")
        .set("program", "/usr/lib/x.o")
        .set("main.host", "a.example")
        .set("receivers[0].host", "b.example")
        .set("receivers[1].host", "c.example")
        .set("receivers[1].port", "99")
        .set("flags", {"true", "false"})
        .set("mapping[left]", "192.0.2.1")
        .set("maybe", "8")
        .set("spare.host", "d.example");
    const auto read = Everything::table().read(written.value());
    ASSERT_TRUE(read);
    EXPECT_FALSE(read->flag);
    EXPECT_EQ(read->port, 7777);
    EXPECT_EQ(read->offset, -5);
    EXPECT_DOUBLE_EQ(read->ratio, 0.25);
    EXPECT_EQ(read->mode, Mode::observe);
    EXPECT_THAT(read->modes, ElementsAre(Mode::observe, Mode::mark));
    EXPECT_EQ(read->period, std::chrono::seconds(3));
    EXPECT_EQ(read->program, "/usr/lib/x.o");
    EXPECT_EQ(read->main.host, "a.example");
    ASSERT_EQ(read->receivers.size(), 2u);
    EXPECT_EQ(read->receivers[0].port, 10514);
    EXPECT_EQ(read->receivers[1].port, 99);
    EXPECT_THAT(read->flags, ElementsAre(true, false));
    EXPECT_EQ(read->mapping.at("left").to_string(), "192.0.2.1");
    EXPECT_EQ(read->maybe, 8);
    ASSERT_TRUE(read->spare);
    EXPECT_EQ(read->spare->port, 10514);
}

TEST(OptionTable, AValueOutOfItsMembersRangeIsAnErrorWithItsPath) {
    auto written = config();
    written.set("receivers[0].host", "a").set("receivers[1].host", "b").set("receivers[1].port", "70000");
    const auto read = Everything::table().read(written.value());
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, FLOWD_INVALID);
    EXPECT_EQ(read.error().message, "receivers: [1]: port: the value 70000 does not fit its option");
}

TEST(OptionTable, ValuesOfANewerCoreAreReadByTheirStride) {
    struct Wider {
        flowd_value value;
        std::uint64_t new_member;
    };
    Wider items[2] = {};
    for (auto& item : items) {
        item.value.size = sizeof(Wider);
        item.value.flags = FLOWD_VALUE_PRESENT;
        item.new_member = ~0ull;
    }
    items[0].value.text = to_c("h.example");
    items[1].value.integer = 42;
    flowd_value group{};
    group.size = sizeof group;
    group.items = &items[0].value;
    group.item_count = 2;
    group.item_stride = sizeof(Wider);
    const auto read = Receiver::table().read(group);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->host, "h.example");
    EXPECT_EQ(read->port, 42);
}

TEST(OptionTable, ACoreThatKnowsFewerRowsLeavesTheRestAsInitialised) {
    flowd_value item{};
    item.size = sizeof item;
    item.flags = FLOWD_VALUE_PRESENT;
    item.text = to_c("h.example");
    flowd_value group{};
    group.size = sizeof group;
    group.items = &item;
    group.item_count = 1;
    group.item_stride = sizeof item;
    const auto read = Receiver::table().read(group);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->port, 0);
}

TEST(TestConfig, RefusesUnknownPaths) {
    auto wrong = config();
    wrong.set("prot", "1");
    EXPECT_THROW((void)wrong.value(), std::invalid_argument);
    auto text = config();
    text.set("port", "seven");
    EXPECT_THROW((void)text.value(), std::invalid_argument);
}

}  // namespace
}  // namespace flowd
