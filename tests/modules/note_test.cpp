// SPDX-License-Identifier: Apache-2.0
#include "core/modules/note.hpp"

#include <elf.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>

#include "flowd/abi/module.h"
#include "tests/modules/temporary_directory.hpp"

namespace flowd::core {
namespace {

using test::read_file;
using test::TemporaryDirectory;

std::string good_module() {
    return read_file(std::filesystem::path(FLOWD_ZOO_DIR) / "good.so");
}

std::string message_for(const std::filesystem::path& file) {
    const auto note = read_note(file);
    return note ? "accepted" : note.error().message;
}

template <typename T, typename Member>
void set(std::string& file, std::size_t offset, Member T::*member, Member content) {
    T header{};
    std::memcpy(&header, file.data() + offset, sizeof header);
    header.*member = content;
    std::memcpy(file.data() + offset, &header, sizeof header);
}

TEST(Note, HasNameVersionAbiComponentsAndAliases) {
    const auto note = parse_note(
        "abi=1.2\nname=zoo\nversion=1.0-rc~1\nplugin=fireflyp\nplugin.alias=firefly\nbackend=firefly\nenricher=skops\n"
        "enricher.alias=ops\nenricher.alias=so\n");
    ASSERT_TRUE(note) << note.error().message;
    EXPECT_EQ(note->abi_major, 1u);
    EXPECT_EQ(note->abi_minor, 2u);
    EXPECT_EQ(note->name, "zoo");
    EXPECT_EQ(note->version, "1.0-rc~1");
    EXPECT_EQ(note->components, (std::vector<NoteComponent>{{FLOWD_PLUGIN, "fireflyp", {"firefly"}},
                                                            {FLOWD_BACKEND, "firefly", {}},
                                                            {FLOWD_ENRICHER, "skops", {"ops", "so"}}}));
}

TEST(Note, IgnoresKeysOfALaterMinor) {
    EXPECT_TRUE(parse_note("abi=1.9\nname=zoo\nversion=1\nplugin=x\nplugin.colour=red\nfilter=y\nsum=1\n"));
}

TEST(Note, RefusesMalformedNotes) {
    const auto message = [](std::string_view text) {
        const auto note = parse_note(text);
        return note ? std::string("accepted") : note.error().message;
    };
    EXPECT_EQ(message(""), "its note has no line 'abi'");
    EXPECT_EQ(message("abi=1.0\nversion=1\nplugin=x"), "its note has no line 'name'");
    EXPECT_EQ(message("abi=1.0\nname=x\nplugin=x"), "its note has no line 'version'");
    EXPECT_EQ(message("abi=1.0\nname=x\nversion=1"), "its note has no line 'plugin, backend or enricher'");
    EXPECT_EQ(message("abi=1"), "its note has a malformed line 'abi'");
    EXPECT_EQ(message("abi=1.99999999999"), "its note has a malformed line 'abi'");
    EXPECT_EQ(message("abi=1.0x"), "its note has a malformed line 'abi'");
    EXPECT_EQ(message("name=a b"), "its note has a malformed line 'name'");
    EXPECT_EQ(message("name="), "its note has a malformed line 'name'");
    EXPECT_EQ(message("name=x\x1b[2J"), "its note has a malformed line 'name'");
    EXPECT_EQ(message("plugin.alias=x"), "its note has a malformed line 'plugin.alias'");
    EXPECT_EQ(message("backend=x\nplugin.alias=x"), "its note has a malformed line 'plugin.alias'");
    EXPECT_EQ(message("words"), "its note has a line without '='");
}

TEST(Note, IsReadFromAModuleWithoutLoadingIt) {
    const auto note = read_note(std::filesystem::path(FLOWD_ZOO_DIR) / "missing-library.so");
    ASSERT_TRUE(note) << note.error().message;
    EXPECT_EQ(note->components, (std::vector<NoteComponent>{{FLOWD_PLUGIN, "zoo", {}}}));
}

TEST(Note, AFileThatIsNotAModuleIsRefusedWithAReason) {
    TemporaryDirectory directory;
    EXPECT_EQ(read_note(directory.path() / "absent.so").error().code, FLOWD_NOT_FOUND);
    EXPECT_EQ(message_for(directory.path()), "it is not a regular file");
    EXPECT_EQ(message_for(directory.write("empty.so", "")), "it is not an ELF file");
    EXPECT_EQ(message_for(directory.write("text.so", "#!/bin/sh\necho a module\n")), "it is not an ELF file");
    const auto pipe = directory.path() / "pipe.so";
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    EXPECT_EQ(message_for(pipe), "it is not a regular file");
    EXPECT_EQ(message_for("/proc/self/exe"), "it has no ELF note .note.flowd, so it is not a flowd module");
}

TEST(Note, AModuleOfAnotherArchitectureIsRefusedWithAReason) {
    TemporaryDirectory directory;
    std::string file = good_module();
    set(file, 0, &Elf64_Ehdr::e_machine, Elf64_Half{EM_RISCV});
    EXPECT_EQ(message_for(directory.write("riscv.so", file)).substr(0, 31), "it is built for riscv, this dae");
    EXPECT_EQ(read_note(directory.path() / "riscv.so").error().code, FLOWD_UNSUPPORTED);
    file = good_module();
    file[EI_CLASS] = ELFCLASS32;
    EXPECT_EQ(message_for(directory.write("32.so", file)), "it is not a 64-bit ELF file");
    file = good_module();
    file[EI_DATA] = static_cast<char>(3 - file[EI_DATA]);
    EXPECT_EQ(message_for(directory.write("order.so", file)), "it has the byte order of another machine");
    file = good_module();
    set(file, 0, &Elf64_Ehdr::e_type, Elf64_Half{ET_EXEC});
    EXPECT_EQ(message_for(directory.write("program.so", file)), "it is not a shared object");
}

// dlopen of such a file would end the process with SIGBUS.
TEST(Note, AModuleTruncatedAnywhereIsRefusedWithAReason) {
    TemporaryDirectory directory;
    const std::string whole = good_module();
    Elf64_Ehdr header{};
    std::memcpy(&header, whole.data(), sizeof header);
    const std::string_view cut = "it is cut short: parts of it lie behind the end of the file";
    EXPECT_EQ(message_for(directory.write("cut.so", whole.substr(0, EI_NIDENT + 4))), cut);
    EXPECT_EQ(message_for(directory.write("cut.so", whole.substr(0, header.e_phoff + 8))), cut);
    EXPECT_EQ(message_for(directory.write("cut.so", whole.substr(0, whole.size() / 4))), cut);
}

// Every byte of the part that is interpreted is damaged in turn: any answer is right, as long as there is one.
TEST(Note, ADamagedModuleDoesNotCrashTheReader) {
    TemporaryDirectory directory;
    const std::string whole = good_module();
    const std::size_t interpreted = std::min<std::size_t>(whole.size(), 1024);
    for (const unsigned char damage : {0x00, 0xff, 0x80}) {
        for (std::size_t at = 0; at < interpreted; ++at) {
            std::string damaged = whole;
            damaged[at] = static_cast<char>(damage);
            (void)read_note(directory.write("damaged.so", damaged));
        }
    }
}

}  // namespace
}  // namespace flowd::core
