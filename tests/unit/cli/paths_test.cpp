// SPDX-License-Identifier: Apache-2.0
#include "core/base/paths.hpp"

#include <gmock/gmock.h>

#include <cstdlib>

namespace flowd::core {
namespace {

using testing::ElementsAre;

TEST(Paths, AreFoundRelativeToTheExecutable) {
    const InstallPaths paths = install_paths("/opt/site/bin/flowd-cpp");
    EXPECT_EQ(paths.share(), "/opt/site/share/flowd-cpp");
    EXPECT_EQ(paths.registry(), "/opt/site/share/flowd-cpp/registry.json");
    EXPECT_EQ(paths.site_registry(), "/opt/site/etc/flowd-cpp/registry.json");
    EXPECT_EQ(install_paths("/usr/bin/flowd-cpp").site_registry(), "/etc/flowd-cpp/registry.json");
    EXPECT_EQ(paths.catalog(), "/opt/site/share/flowd-cpp/catalog.yaml");
    ASSERT_EQ(paths.module_directories.size(), 1u);
    EXPECT_EQ(paths.module_directories.front().parent_path().parent_path().parent_path().string().rfind("/opt/site", 0),
              0u);
}

TEST(Paths, ModulesOfTheCommandLineComeFirstAndNoDirectoryTwice) {
    ::unsetenv("FLOWD_MODULE_PATH");
    InstallPaths paths;
    paths.module_directories = {"/usr/lib/flowd-cpp/modules"};
    EXPECT_THAT(module_search_path(paths, {"/mine/", "/usr/lib/flowd-cpp/modules"}, {"/site", "/mine"}),
                ElementsAre("/mine", "/usr/lib/flowd-cpp/modules", "/site"));
}

TEST(Paths, TheEnvironmentReplacesTheInstalledDirectories) {
    ::setenv("FLOWD_MODULE_PATH", "/a::/b", 1);
    InstallPaths paths;
    paths.module_directories = {"/usr/lib/flowd-cpp/modules"};
    EXPECT_THAT(module_search_path(paths, {"/mine"}, {"/site"}), ElementsAre("/mine", "/site", "/a", "/b"));
    ::unsetenv("FLOWD_MODULE_PATH");
}

}  // namespace
}  // namespace flowd::core
