// SPDX-License-Identifier: Apache-2.0
#include "core/modules/module_set.hpp"

#include <gtest/gtest.h>
#include <simdjson.h>
#include <sys/stat.h>

#include "core/modules/describe.hpp"
#include "core/modules/dynamic_library.hpp"
#include "tests/modules/temporary_directory.hpp"

namespace flowd::core {
namespace {

namespace fs = std::filesystem;
using test::read_file;
using test::TemporaryDirectory;

class ModuleSetTest : public testing::Test {
  protected:
    static fs::path built(const char* name) { return fs::path(FLOWD_ZOO_DIR) / name; }
    fs::path put(const TemporaryDirectory& directory, const char* broken, const char* name) const {
        return directory.write(name, read_file(built(broken)));
    }

    TemporaryDirectory best_, other_;
    ModuleSet set_;
};

TEST_F(ModuleSetTest, ScanningListsUsableModulesAndWhyOthersAreNotUsable) {
    put(best_, "good.so", "plugin-zoo.so");
    best_.write("backend-broken.so", "not a module");
    best_.write("README", "not even looked at");
    set_.scan({best_.path(), best_.path() / "absent"});
    ASSERT_EQ(set_.modules().size(), 2u);
    EXPECT_EQ(set_.modules()[0]->state, ModuleState::failed);
    EXPECT_EQ(set_.modules()[0]->failure->message, "it is not an ELF file");
    EXPECT_EQ(set_.modules()[1]->state, ModuleState::found);
    EXPECT_EQ(set_.names(FLOWD_PLUGIN), std::vector<std::string>{"zoo"});
    EXPECT_TRUE(set_.names(FLOWD_BACKEND).empty());
}

TEST_F(ModuleSetTest, FindLoadsOnlyTheModuleOfTheComponent) {
    put(best_, "good.so", "plugin-zoo.so");
    put(best_, "missing-on-events.so", "backend-zoo.so");
    set_.scan({best_.path()});
    const auto found = set_.find(FLOWD_PLUGIN, "ZOO", "");
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_STREQ(found->component->name, "zoo");
    EXPECT_EQ(found->module_path, best_.path() / "plugin-zoo.so");
    EXPECT_EQ(set_.find_module("plugin-zoo")->state, ModuleState::loaded);
    EXPECT_EQ(set_.find_module("backend-zoo.so")->state, ModuleState::found);
}

TEST_F(ModuleSetTest, AComponentWithoutAModuleIsNotFound) {
    set_.scan({best_.path()});
    const auto found = set_.find(FLOWD_BACKEND, "kafka", "");
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, FLOWD_NOT_FOUND);
    EXPECT_EQ(found.error().message, "no installed module has a backend 'kafka'");
}

TEST_F(ModuleSetTest, ARefusedModuleIsNotReportedAsNotFound) {
    put(best_, "missing-library.so", "plugin-zoo.so");
    const auto unreadable = best_.write("backend-kafka.so", "cut");
    set_.scan({best_.path()});
    const auto refused = set_.find(FLOWD_PLUGIN, "zoo", "");
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().code, FLOWD_NOT_FOUND);
    EXPECT_EQ(refused.error().message, "the module " + (best_.path() / "plugin-zoo.so").string() +
                                           " was refused: it needs the library libzoo_absent.so, which is not installed");
    EXPECT_NE(refused.error().hint.find("libzoo_absent.so"), std::string::npos);
    EXPECT_EQ(set_.find(FLOWD_BACKEND, "kafka", "").error().message,
              "the module " + unreadable.string() + " was refused: it is not an ELF file");
}

TEST_F(ModuleSetTest, AFileThatIsNotTrustedIsNotOpened) {
    const auto file = best_.write("plugin-zoo.so", "whatever somebody wrote there");
    ::chmod(file.c_str(), 0666);
    set_.scan({best_.path()});
    ASSERT_EQ(set_.modules().size(), 1u);
    EXPECT_EQ(set_.modules()[0]->failure->code, FLOWD_DENIED);
    EXPECT_NE(set_.find(FLOWD_PLUGIN, "zoo", "").error().message.find("is not trusted"), std::string::npos);
    EXPECT_EQ(set_.load_file(file).error().code, FLOWD_DENIED);
}

TEST_F(ModuleSetTest, AWritableModuleIsRefusedAndNotExecuted) {
    const auto file = put(best_, "good.so", "plugin-zoo.so");
    ::chmod(file.c_str(), 0666);
    set_.scan({best_.path()});
    const auto refused = set_.find(FLOWD_PLUGIN, "zoo", "");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, FLOWD_DENIED);
    EXPECT_NE(refused.error().message.find("is writable by its group and others"), std::string::npos)
        << refused.error().message;
    EXPECT_EQ(refused.error().hint, "chmod go-w " + file.string());
}

TEST_F(ModuleSetTest, AFileInAnEarlierDirectoryTakesPrecedence) {
    put(other_, "missing-create.so", "plugin-zoo.so");
    put(best_, "good.so", "plugin-zoo.so");
    set_.scan({best_.path(), other_.path()});
    ASSERT_EQ(set_.modules().size(), 1u);
    EXPECT_TRUE(set_.find(FLOWD_PLUGIN, "zoo", ""));
}

TEST_F(ModuleSetTest, AFileGivenByPathIsLoadedFromAnyDirectory) {
    const auto file = put(other_, "good.so", "mine.so");
    set_.scan({best_.path()});
    EXPECT_FALSE(set_.find(FLOWD_PLUGIN, "zoo", ""));
    EXPECT_TRUE(set_.find(FLOWD_PLUGIN, "zoo", file.string()));
    const auto other_kind = set_.find(FLOWD_BACKEND, "zoo", file.string());
    ASSERT_FALSE(other_kind);
    EXPECT_EQ(other_kind.error().code, FLOWD_NOT_FOUND);
    EXPECT_EQ(other_kind.error().message, "the module " + file.string() + " holds plugin 'zoo', not backend 'zoo'");
    EXPECT_EQ(set_.find(FLOWD_PLUGIN, "zoo", "/nowhere/x.so").error().message, "the module /nowhere/x.so does not exist");
}

TEST_F(ModuleSetTest, RescanningFindsNewModulesAndKeepsLoadedOnes) {
    put(best_, "good.so", "plugin-zoo.so");
    best_.write("backend-late.so", "half copied");
    set_.scan({best_.path()});
    const flowd_component* before = set_.find(FLOWD_PLUGIN, "zoo", "")->component;
    put(best_, "missing-accepts.so", "backend-late.so");
    set_.scan({best_.path()});
    EXPECT_EQ(set_.find(FLOWD_PLUGIN, "zoo", "")->component, before);
    EXPECT_EQ(set_.find_module("backend-late")->state, ModuleState::found);
    fs::remove(best_.path() / "plugin-zoo.so");
    set_.scan({best_.path()});
    EXPECT_EQ(set_.find(FLOWD_PLUGIN, "zoo", "")->component, before) << "loaded code stays although its file is gone";
}

TEST_F(ModuleSetTest, DescriptionsAreJsonWithStateAndReason) {
    put(best_, "good.so", "plugin-zoo.so");
    best_.write("backend-broken.so", "not a module");
    set_.scan({best_.path()});
    ASSERT_TRUE(set_.find(FLOWD_PLUGIN, "zoo", ""));
    simdjson::dom::parser parser;
    const auto list = parser.parse(describe_modules(set_));
    ASSERT_EQ(list.error(), simdjson::SUCCESS);
    EXPECT_EQ(std::string_view(list.at(0)["module"]), "backend-broken");
    EXPECT_EQ(std::string_view(list.at(0)["state"]), "failed");
    EXPECT_EQ(std::string_view(list.at(0)["reason"]), "it is not an ELF file");
    EXPECT_EQ(std::string_view(list.at(1)["components"]), "plugin zoo");
    EXPECT_EQ(std::string_view(list.at(1)["state"]), "loaded");
    const auto module = parser.parse(describe_module(*set_.find_module("plugin-zoo")));
    ASSERT_EQ(module.error(), simdjson::SUCCESS);
    EXPECT_EQ(std::string_view(module["license"]), "Apache-2.0");
    EXPECT_EQ(std::string_view(module["abi"]), "1.0");
    EXPECT_EQ(std::string_view(module["components"].at(0)["precedence"]), "explicit");
    const auto broken = parser.parse(describe_module(*set_.find_module("backend-broken.so")));
    EXPECT_EQ(std::string_view(broken["reason"]), "it is not an ELF file");
}

TEST(DynamicLinker, ErrorsAreRewrittenAsSentences) {
    const auto explain = [](std::string_view message) { return explain_dlerror(message, "/m/x.so").message; };
    EXPECT_EQ(explain("librdkafka.so.1: cannot open shared object file: No such file or directory"),
              "it needs the library librdkafka.so.1, which is not installed");
    EXPECT_EQ(explain("/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.99' not found (required by /m/x.so)"),
              "it needs version GLIBC_2.99 of libc.so.6, which is newer than the one installed");
    EXPECT_EQ(explain("/m/x.so: undefined symbol: foo, version BAR_1"),
              "it needs the symbol 'foo', which none of its libraries has");
    EXPECT_EQ(explain("/m/x.so: cannot open shared object file: Permission denied"),
              "the dynamic linker refuses it: /m/x.so: cannot open shared object file: Permission denied");
}

}  // namespace
}  // namespace flowd::core
