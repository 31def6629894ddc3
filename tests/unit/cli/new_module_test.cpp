// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "core/cli/commands.hpp"

namespace flowd::core::cli {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class NewModuleCommand : public testing::Test {
  protected:
    NewModuleCommand() {
        std::string name = (fs::temp_directory_path() / "flowd-new-XXXXXX").string();
        folder_ = ::mkdtemp(name.data());
        paths_.prefix = folder_ / "prefix";
        write(paths_.templates() / "c++/plugin/src/@NAME@.cpp",
              "namespace flowd::@NAME@ { class @CLASS@; } // a @KIND@, @OTHER@\n");
        write(paths_.templates() / "c++/common/CMakeLists.txt", "project(@KIND@-@NAME@ CXX)\n");
        write(paths_.templates() / "c/plugin/src/@NAME@.c", "// @NAME@\n");
        write(paths_.templates() / "c/common/CMakeLists.txt", "project(@KIND@-@NAME@ C)\n");
        write(paths_.templates() / "plugin/conf.yaml", "plugins: {@NAME@: {}}\n");
        write(paths_.templates() / "common/packaging.cmake", "flowd-cpp-@KIND@-@NAME@\n");
    }
    ~NewModuleCommand() override { fs::remove_all(folder_); }

    static void write(const fs::path& file, const std::string& text) {
        fs::create_directories(file.parent_path());
        std::ofstream(file) << text;
    }
    static std::string read(const fs::path& file) {
        std::ifstream in(file);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    ExitCode make(const NewModule& request) {
        out_.str({});
        err_.str({});
        Installation installation(paths_);
        return make_module(request, installation, {"status"}, Output{out_, err_});
    }

    fs::path folder_;
    InstallPaths paths_;
    std::ostringstream out_, err_;
};

TEST_F(NewModuleCommand, SubstitutesNamesInContentsAndFileNames) {
    const fs::path target = folder_ / "mine";
    ASSERT_EQ(make({"mysource", "plugin", target.string()}), ExitCode::ok) << err_.str();
    EXPECT_EQ(read(target / "src/mysource.cpp"),
              "namespace flowd::mysource { class MysourcePlugin; } // a plugin, @OTHER@\n");
    EXPECT_EQ(read(target / "CMakeLists.txt"), "project(plugin-mysource CXX)\n");
    EXPECT_EQ(read(target / "conf.yaml"), "plugins: {mysource: {}}\n");
    EXPECT_EQ(read(target / "packaging.cmake"), "flowd-cpp-plugin-mysource\n");
    EXPECT_THAT(out_.str(), HasSubstr("cmake -S " + target.string()));
}

TEST_F(NewModuleCommand, WritesAProjectInC) {
    const fs::path target = folder_ / "mine";
    ASSERT_EQ(make({"mysource", "plugin", target.string(), "c"}), ExitCode::ok) << err_.str();
    EXPECT_EQ(read(target / "src/mysource.c"), "// mysource\n");
    EXPECT_EQ(read(target / "CMakeLists.txt"), "project(plugin-mysource C)\n");
    EXPECT_EQ(read(target / "conf.yaml"), "plugins: {mysource: {}}\n");
    EXPECT_FALSE(fs::exists(target / "src/mysource.cpp"));
}

TEST_F(NewModuleCommand, WritesToAnEmptyDirectoryButNotToANonEmptyOne) {
    const fs::path target = folder_ / "mine";
    fs::create_directory(target);
    ASSERT_EQ(make({"mysource", "plugin", target.string()}), ExitCode::ok);
    write(target / "CMakeLists.txt", "changed");
    EXPECT_EQ(make({"mysource", "plugin", target.string()}), ExitCode::busy);
    EXPECT_EQ(read(target / "CMakeLists.txt"), "changed");
}

TEST_F(NewModuleCommand, RefusesInvalidComponentNames) {
    for (const char* name : {"", "My", "my-source", "1st", "a/b", "..", "s\xc3\xbc", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}) {
        EXPECT_EQ(make({name, "plugin", (folder_ / "x").string()}), ExitCode::usage) << name;
        EXPECT_THAT(err_.str(), HasSubstr("lower-case letter"));
    }
    EXPECT_FALSE(fs::exists(folder_ / "x"));
}

TEST_F(NewModuleCommand, RefusesNamesThatTheProgramUses) {
    write(paths_.catalog(), "plugins: {netlink: {package: flowd-cpp-plugin-netlink, aliases: [nl]}}\n");
    const std::vector<std::pair<const char*, const char*>> cases = {
        {"status", "a command \"status\""},
        {"complete", "the name \"complete\""},
        {"period", "the name \"period\""},
        {"flowd", "the name \"flowd\""},
        {"netlink", "the package flowd-cpp-plugin-netlink has a plugin"},
        {"nl", "the package flowd-cpp-plugin-netlink has a plugin"},
    };
    for (const auto& [name, reason] : cases) {
        EXPECT_EQ(make({name, "plugin", (folder_ / "x").string()}), ExitCode::busy) << name;
        EXPECT_THAT(err_.str(), HasSubstr(reason));
        EXPECT_THAT(err_.str(), HasSubstr("choose another name"));
    }
    EXPECT_FALSE(fs::exists(folder_ / "x"));
}

TEST_F(NewModuleCommand, RefusesTheNameOfAnInstalledFile) {
    const fs::path modules = folder_ / "prefix/lib/flowd-cpp/modules";
    write(modules / "plugin-mine.so", "not a module: its name is taken nevertheless");
    paths_.module_directories = {modules};
    EXPECT_EQ(make({"mine", "plugin", (folder_ / "x").string()}), ExitCode::busy);
    EXPECT_THAT(err_.str(), HasSubstr((modules / "plugin-mine.so").string()));
    EXPECT_EQ(make({"yours", "plugin", (folder_ / "x").string()}), ExitCode::ok) << err_.str();
}

TEST_F(NewModuleCommand, QuotesTheDirectoryInTheCommandsThatItPrints) {
    ASSERT_EQ(make({"mine", "plugin", (folder_ / "it's $HOME").string()}), ExitCode::ok);
    EXPECT_THAT(out_.str(), HasSubstr("cmake -S '" + folder_.string() + "/it'\\''s $HOME' -B "));
}

TEST_F(NewModuleCommand, NamesThePackageOfTheTemplates) {
    EXPECT_EQ(make({"mysink", "backend", (folder_ / "x").string()}), ExitCode::absent);
    EXPECT_THAT(err_.str(), HasSubstr("flowd-cpp-devel"));
}

}  // namespace
}  // namespace flowd::core::cli
