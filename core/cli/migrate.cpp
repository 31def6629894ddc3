// SPDX-License-Identifier: Apache-2.0
#include <ostream>

#include "core/base/files.hpp"
#include "core/cli/commands.hpp"
#include "core/service/problem_exit.hpp"
#include "core/setup/migration.hpp"

namespace flowd::core::cli {

ExitCode migrate_file(const GlobalOptions& options, const Output& output, const std::string& file) {
    Installation installation(install_paths(), options.modules);
    const auto notes = MigrationNotes::load(installation.paths().share() / "migration.yaml");
    if (!notes) return output.fail(notes.error());
    const auto text = read_file(file);
    if (!text) return output.fail(text.error());
    const auto migrated = migrate(*text, file, *notes, installation);
    if (!migrated) return output.fail(migrated.error());
    output.out << migrated->text;
    output.err << migrated->loaded.problems.to_string();
    return exit_code_of(migrated->loaded.problems);
}

}  // namespace flowd::core::cli
