// SPDX-License-Identifier: Apache-2.0
// FLOWD_OPTION_FILE: an option that may be written as a file whose first line is the value.
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/trust.hpp"
#include "core/config/render.hpp"
#include "core/config/value_file.hpp"
#include "fakes.hpp"

namespace flowd::core::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string first_line = "0123456789abcdef";

struct ValueFileTest : ::testing::Test {
    ValueFileTest() {
        flowd_option token{};
        token.size = sizeof token;
        token.type = FLOWD_OPTION_STRING;
        token.name = "token";
        token.doc = "The token.";
        token.flags = FLOWD_OPTION_SECRET | FLOWD_OPTION_FILE;
        options_ = {token};
        world_.modules.add(FLOWD_PLUGIN, "api", options_);
        world_.trust = [](const fs::path& file) { return trusted_path(file); };
        put(first_line + "\nsecond line\n");
    }
    void put(std::string_view text, mode_t mode = 0640) {
        file_ = directory_.write("token", text);
        ASSERT_EQ(::chmod(file_.c_str(), mode), 0);
    }
    [[nodiscard]] std::string yaml(const std::string& lines) const { return "plugins:\n  api:\n" + lines; }
    LoadedConfiguration load() { return world_.parse(yaml("    tokenFile: " + file_.string() + "\n")); }
    /// The text of the only problem.
    std::string refusal() {
        const auto loaded = load();
        EXPECT_FALSE(loaded.configuration);
        return loaded.problems.to_string();
    }

    TemporaryDirectory directory_;
    fs::path file_;
    std::vector<flowd_option> options_;
    World world_;
};

TEST_F(ValueFileTest, TheFirstLineIsTheValue) {
    const auto loaded = load();
    ASSERT_TRUE(loaded.configuration) << loaded.problems.to_string();
    const flowd_value& value = *item_at(loaded.configuration->instances.at(0).value(), 0);
    EXPECT_EQ(to_view(value.text), first_line);
    EXPECT_EQ(value.flags, std::uint32_t{FLOWD_VALUE_PRESENT | FLOWD_VALUE_WRITTEN});
    EXPECT_EQ(value.type, std::uint32_t{FLOWD_OPTION_STRING});
    const auto written = world_.parse(yaml("    token: " + first_line + "\n"));
    EXPECT_TRUE(loaded.configuration->instances[0].same_as(written.configuration->instances.at(0)));
}

TEST_F(ValueFileTest, LinesMayEndWithCrLfOrAtTheEndOfTheFile) {
    for (const std::string& text : {first_line + "\r\n", first_line}) {
        put(text);
        const auto loaded = load();
        ASSERT_TRUE(loaded.configuration);
        EXPECT_EQ(to_view(item_at(loaded.configuration->instances[0].value(), 0)->text), first_line);
    }
}

TEST_F(ValueFileTest, IsReadAgainAtAReload) {
    const auto before = load();
    put("another-value-of-it\n");
    const auto after = load();
    ASSERT_TRUE(before.configuration && after.configuration);
    EXPECT_FALSE(before.configuration->instances[0].same_as(after.configuration->instances[0]));
}

TEST_F(ValueFileTest, AValueAndAFileTogetherAreRefused) {
    const auto loaded = world_.parse(yaml("    token: " + first_line + "\n    tokenFile: " + file_.string() + "\n"));
    EXPECT_FALSE(loaded.configuration);
    EXPECT_THAT(loaded.problems.to_string(), HasSubstr("the same option as token"));
}

TEST_F(ValueFileTest, AnUnusableFileIsReportedWithPositionAndRemedy) {
    const auto expect = [&](std::string_view message, std::string_view hint) {
        const std::string text = refusal();
        EXPECT_THAT(text, HasSubstr("conf.yaml:3:16: error: plugins.api.tokenFile: "));
        EXPECT_THAT(text, HasSubstr(std::string(message)));
        EXPECT_THAT(text, HasSubstr(std::string(hint)));
        EXPECT_THAT(text, Not(HasSubstr(first_line)));
    };
    put(first_line, 0644);
    expect("is world-readable, so its content is not secret", "chmod 0640 " + file_.string());
    put(first_line, 0660);
    expect("is writable by", "chmod go-w " + file_.string());
    put("\n" + first_line);
    expect("the first line of " + file_.string() + " is empty", "write the value to it");
    put(std::string(5000, 'x'));
    expect("is larger than 4 KiB", "write one line to it");
    put(std::string("a\0b", 3));
    expect("is not text", "write UTF-8 without NUL to it");
    fs::remove(file_);
    fs::create_directory(file_);
    expect("is not a regular file", "name a file");
    fs::remove(file_);
    expect("No such file", "");
}

TEST_F(ValueFileTest, AFileInADirectoryOfAnotherUserIsRefused) {
    ASSERT_EQ(::chmod(directory_.path().c_str(), 0777), 0);
    EXPECT_THAT(refusal(), HasSubstr("is writable by"));
}

TEST_F(ValueFileTest, ARelativeNameIsRefused) {
    const auto loaded = world_.parse(yaml("    tokenFile: token\n"));
    EXPECT_THAT(loaded.problems.to_string(), HasSubstr("plugins.api.tokenFile: not an absolute file name"));
}

TEST_F(ValueFileTest, AnOptionWithoutTheFlagCannotBeAFile) {
    options_[0].flags = FLOWD_OPTION_SECRET;
    EXPECT_THAT(refusal(), HasSubstr("plugins.api.tokenFile: unknown key"));
}

TEST_F(ValueFileTest, AMistypedKeyIsOfferedTheFileOption) {
    const auto loaded = world_.parse(yaml("    tokenFiel: /x\n"));
    EXPECT_THAT(loaded.problems.to_string(), HasSubstr("write tokenFile"));
}

TEST_F(ValueFileTest, TheEffectiveConfigurationNamesTheFileAndNotTheSecret) {
    const auto loaded = load();
    ASSERT_TRUE(loaded.configuration);
    const std::string yaml_text = effective_yaml(*loaded.configuration, world_.registry);
    EXPECT_THAT(yaml_text, HasSubstr("tokenFile: " + file_.string()));
    std::string json_text;
    json::Writer writer(json_text);
    write_effective_json(writer, *loaded.configuration);
    EXPECT_THAT(json_text, HasSubstr("\"tokenFile\":\"" + file_.string() + "\""));
    for (const std::string& text : {yaml_text, json_text}) EXPECT_THAT(text, Not(HasSubstr(first_line)));
    EXPECT_TRUE(world_.parse(yaml_text).configuration) << "it loads again";
}

TEST_F(ValueFileTest, AFileThatMayNotBeReadIsAWarningForCheckAndAnErrorForTheDaemon) {
    if (::geteuid() == 0) {  // root may read everything: a child without rights judges
        const pid_t child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            ::_exit([&] {
                if (::chmod(directory_.path().c_str(), 0755) != 0 || ::setgroups(0, nullptr) != 0 || ::setgid(65534) != 0 ||
                    ::setuid(65534) != 0)
                    return 2;
                LoadContext lenient = world_.context();
                lenient.trust = {};
                if (parse_configuration(yaml("    tokenFile: " + file_.string() + "\n"), "conf.yaml", lenient)
                        .configuration)
                    return 3;
                lenient.may_lack_rights = true;
                const auto judged =
                    parse_configuration(yaml("    tokenFile: " + file_.string() + "\n"), "conf.yaml", lenient);
                if (!judged.configuration) return 4;
                const std::string text = judged.problems.to_string();
                return text.find("warning: plugins.api.tokenFile: ") != std::string::npos ? 0 : 5;
            }());
        }
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_EQ(status, 0);
        return;
    }
    put(first_line, 0000);
    EXPECT_THAT(refusal(), HasSubstr("error: plugins.api.tokenFile: "));
    LoadContext lenient = world_.context();
    lenient.may_lack_rights = true;
    EXPECT_TRUE(parse_configuration(yaml("    tokenFile: " + file_.string() + "\n"), "conf.yaml", lenient).configuration);
}

TEST_F(ValueFileTest, SchemaAndReferenceNameBothSpellings) {
    const auto table = read_options(options_.data(), options_.size(), sizeof(flowd_option));
    ASSERT_TRUE(table);
    const ComponentOptions component{FLOWD_PLUGIN, "api", {}, "An API.", *table};
    EXPECT_THAT(options_schema(component), HasSubstr("\"tokenFile\":{\"description\""));
    EXPECT_THAT(reference_page(component), HasSubstr("Or `tokenFile`: a file with it as its first line. Secret."));
}

TEST(ValueFileTableTest, OnlyANamedTextMayBeAFile) {
    flowd_option row{};
    row.size = sizeof row;
    row.type = FLOWD_OPTION_INTEGER;
    row.name = "port";
    row.doc = "The port.";
    row.flags = FLOWD_OPTION_FILE;
    EXPECT_THAT(read_options(&row, 1, sizeof row).error().message, HasSubstr("FLOWD_OPTION_FILE is for a STRING"));
    std::vector<flowd_option> rows(2, row);
    rows[0].type = rows[1].type = FLOWD_OPTION_STRING;
    rows[0].name = "token";
    rows[1].name = "tokenFile";
    rows[1].flags = 0;
    EXPECT_THAT(read_options(rows.data(), 2, sizeof row).error().message, HasSubstr("option tokenFile: its name is taken"));
}

}  // namespace
}  // namespace flowd::core::test
