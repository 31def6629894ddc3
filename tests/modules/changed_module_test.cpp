// SPDX-License-Identifier: Apache-2.0
// A module's file that is replaced while its code is loaded.
#include <gtest/gtest.h>

#include <fstream>

#include "core/modules/module_set.hpp"
#include "temporary_directory.hpp"

namespace flowd::core {
namespace {

namespace fs = std::filesystem;

struct ChangedModule : testing::Test {
    ChangedModule() { fs::copy_file(fs::path(FLOWD_ZOO_DIR) / "good.so", file_); }
    test::TemporaryDirectory directory_;
    fs::path file_ = directory_.path() / "good.so";
    ModuleSet set_{TrustPolicy{.enforced = false}};
};

TEST_F(ChangedModule, IsReportedAfterItsFileWasReplacedOrRemoved) {
    EXPECT_TRUE(set_.changed_files().empty());
    ASSERT_TRUE(set_.load_file(file_));
    EXPECT_TRUE(set_.changed_files().empty());
    const fs::path fresh = directory_.path() / "fresh";
    fs::copy_file(fs::path(FLOWD_ZOO_DIR) / "good.so", fresh);
    fs::rename(fresh, file_);
    EXPECT_EQ(set_.changed_files(), std::vector<fs::path>{file_});
    fs::remove(file_);
    EXPECT_EQ(set_.changed_files(), std::vector<fs::path>{file_});
    EXPECT_EQ(set_.modules().at(0)->state, ModuleState::loaded) << "its code stays";
}

TEST_F(ChangedModule, IsNotReportedWhileItIsNotLoaded) {
    set_.scan({directory_.path()});
    std::ofstream(file_, std::ios::app) << "more";
    EXPECT_TRUE(set_.changed_files().empty());
}

}  // namespace
}  // namespace flowd::core
