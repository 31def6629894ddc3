// SPDX-License-Identifier: Apache-2.0
#include "core/cli/render.hpp"

#include <gtest/gtest.h>

namespace flowd::core::cli {
namespace {

TEST(Render, AlignsPlainMembersAndIndentsNestedOnesBelowThem) {
    EXPECT_EQ(render(R"({"pid":7,"nested":{"a":1,"long_name":2},"version":"0.1"})"),
              "pid:      7\n"
              "version:  0.1\n"
              "\n"
              "nested:\n"
              "  a:          1\n"
              "  long name:  2\n");
}

TEST(Render, ShowsAListOfObjectsAsATableWithNumbersToTheRight) {
    EXPECT_EQ(render(R"([{"instance":"marker","dropped":7},{"instance":"fireflyp","dropped":12345}])"),
              "instance  dropped\n"
              "marker          7\n"
              "fireflyp    12345\n");
}

TEST(Render, GivesATableEveryColumnThatAnyRowHas) {
    EXPECT_EQ(render(R"([{"a":1},{"b":"x"},{"a":null,"b":"y"}])"),
              "a  b\n"
              "1  -\n"
              "-  x\n"
              "-  y\n");
}

TEST(Render, OmitsEmptyColumns) {
    EXPECT_EQ(render(R"([{"module":"m","reason":"","error":null}])"),
              "module\n"
              "m\n");
}

TEST(Render, PutsNestedObjectsOfARowBelowTheTable) {
    EXPECT_EQ(render(R"([{"instance":"marker","status":{"interfaces":[{"name":"eth0","packets":3}]}},{"instance":"x"}])"),
              "instance\n"
              "marker\n"
              "x\n"
              "\n"
              "marker:\n"
              "  status:\n"
              "    interfaces:\n"
              "      name  packets\n"
              "      eth0        3\n");
}

TEST(Render, PutsAFewNestedMembersIntoACell) {
    EXPECT_EQ(render(R"([{"name":"a","labels":{"reason":"full","n":1},"value":2},{"name":"b","labels":{},"value":30}])"),
              "name  labels            value\n"
              "a     reason full, n 1      2\n"
              "b     none                 30\n");
}

TEST(Render, AppendsTheUnitOfTheKey) {
    EXPECT_EQ(render(R"({"uptimeSeconds":3725,"memoryBytes":11534336,"bytes":10,"rttSeconds":0.0125})"),
              "uptime:  1h 2m 5s\n"
              "memory:  11.0 MiB\n"
              "bytes:   10 B\n"
              "rtt:     12.5 ms\n");
}

TEST(Render, ReadsKeysAsWords) {
    EXPECT_EQ(render(R"({"port_zero":"a","kernelDrops":1,"MTU":2,"experimentID":3})"),
              "port zero:      a\n"
              "kernel drops:   1\n"
              "MTU:            2\n"
              "experiment ID:  3\n");
}

TEST(Render, WritesListsOfPlainValuesOnOneLine) {
    EXPECT_EQ(render(R"({"a":["x",1,true],"b":[]})"), "a:  x, 1, yes\nb:  none\n");
}

TEST(Render, KeepsIntegersExact) {
    EXPECT_EQ(render(R"({"a":18446744073709551615,"b":-9223372036854775808,"port":10514})"),
              "a:     18446744073709551615\n"
              "b:     -9223372036854775808\n"
              "port:  10514\n");
}

TEST(Render, EscapesTerminalCommands) {
    EXPECT_EQ(render(R"({"application":"\u001b]0;owned\u0007\u009b31m\u007f"})"),
              "application:  \\x1b]0;owned\\x07\\x9b31m\\x7f\n");
    EXPECT_EQ(render("no json \x1b[31m"), "no json \\x1b[31m\n");
}

TEST(Render, IndentsFurtherLinesOfText) {
    EXPECT_EQ(render(R"({"report":"one\ntwo"})"), "report:  one\n         two\n");
}

TEST(Render, CountsCharactersNotBytes) {
    EXPECT_EQ(render("[{\"n\":\"\xc3\xbc\",\"m\":\"x\"},{\"n\":\"ab\",\"m\":\"y\"}]"), "n   m\n\xc3\xbc   x\nab  y\n");
}

TEST(Render, UsesColoursOnlyOnRequest) {
    EXPECT_EQ(render(R"([{"a":1}])").find('\x1b'), std::string::npos);
    EXPECT_NE(render(R"([{"a":1}])", {true}).find('\x1b'), std::string::npos);
}

TEST(Render, FormatsDurationsForPeople) {
    EXPECT_EQ(human_duration(0), "0 s");
    EXPECT_EQ(human_duration(0.0000425), "42.5 us");
    EXPECT_EQ(human_duration(2.5), "2.5 s");
    EXPECT_EQ(human_duration(61), "1m 1s");
    EXPECT_EQ(human_duration(90061), "1d 1h 1m");
    EXPECT_EQ(human_duration(-61), "-1m 1s");
}

TEST(Render, FormatsSizesForPeople) {
    EXPECT_EQ(human_size(1023), "1023 B");
    EXPECT_EQ(human_size(1536), "1.5 KiB");
    EXPECT_EQ(human_size(64.0 * 1024 * 1024), "64.0 MiB");
}

}  // namespace
}  // namespace flowd::core::cli
