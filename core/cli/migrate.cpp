// SPDX-License-Identifier: Apache-2.0
#include <fstream>
#include <ostream>

#include "core/cli/commands.hpp"
#include "core/service/problem_exit.hpp"
#include "core/setup/migration.hpp"

namespace flowd::core::cli {
namespace {

constexpr std::size_t largest = 4u << 20;

Result<std::string> read_bounded(const std::string& file) {
    std::error_code error;
    const bool regular = std::filesystem::is_regular_file(file, error);
    if (error) return Error::from_errno(error.value(), file);
    if (!regular) return Error{FLOWD_INVALID, file + ": not a regular file"};
    std::ifstream stream(file, std::ios::binary);
    if (!stream) return Error::from_errno(errno, file);
    std::string text(largest + 1, '\0');
    stream.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(stream.gcount()));
    if (text.size() > largest) return Error{FLOWD_LIMIT, file + ": larger than 4 MiB"};
    return text;
}

}  // namespace

ExitCode migrate_file(const GlobalOptions& options, const Output& output, const std::string& file) {
    Installation installation(install_paths(), options.modules);
    const auto notes = MigrationNotes::load(installation.paths().share() / "migration.yaml");
    if (!notes) return output.fail(notes.error());
    const auto text = read_bounded(file);
    if (!text) return output.fail(text.error());
    const auto migrated = migrate(*text, file, *notes, installation);
    if (!migrated) return output.fail(migrated.error());
    output.out << migrated->text;
    output.err << migrated->loaded.problems.to_string();
    return exit_code_of(migrated->loaded.problems);
}

}  // namespace flowd::core::cli
