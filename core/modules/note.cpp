// SPDX-License-Identifier: Apache-2.0
#include "core/modules/note.hpp"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <span>

#include "flowd/abi/module.h"
#include "flowd/abi/note.h"
#include "flowd/number.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::core {

namespace {

// Limits of what a file may make this process read; real modules are far below them.
constexpr std::size_t max_program_headers = 256;
constexpr std::size_t max_note_segment = 64 * 1024;

#if defined(__x86_64__)
constexpr Elf64_Half own_machine = EM_X86_64;
#elif defined(__aarch64__)
constexpr Elf64_Half own_machine = EM_AARCH64;
#elif defined(__powerpc64__)
constexpr Elf64_Half own_machine = EM_PPC64;
#elif defined(__s390x__)
constexpr Elf64_Half own_machine = EM_S390;
#elif defined(__riscv)
constexpr Elf64_Half own_machine = EM_RISCV;
#else
#error "name this machine's ELF number"
#endif
constexpr unsigned char own_byte_order = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB;

constexpr const char* note_hint =
    "build it with flowd_add_module(), or put FLOWD_MODULE_NOTE(...) of flowd/abi/note.h into one of its sources";

std::string machine_name(Elf64_Half machine) {
    switch (machine) {
        case EM_X86_64:
            return "x86_64";
        case EM_AARCH64:
            return "aarch64";
        case EM_PPC64:
            return "ppc64";
        case EM_S390:
            return "s390x";
        case EM_RISCV:
            return "riscv";
        case EM_386:
            return "i386";
        case EM_ARM:
            return "arm";
        default:
            return fmt::format("ELF machine {}", machine);
    }
}

Error invalid(std::string message, std::string hint = {}) {
    return Error{FLOWD_INVALID, std::move(message), std::move(hint)};
}

Error cut_short() {
    return invalid("it is cut short: parts of it lie behind the end of the file", "copy or install it again");
}

class ElfFile {
  public:
    static Result<ElfFile> open(const std::filesystem::path& path) {
        ElfFile file;
        // O_NONBLOCK: opening a named pipe must not hang.
        file.fd_ = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
        if (!file.fd_) return Error::from_errno(errno, "it cannot be opened");
        struct stat status {};
        if (::fstat(file.fd_.get(), &status) != 0) return Error::from_errno(errno, "it cannot be examined");
        if (!S_ISREG(status.st_mode)) return invalid("it is not a regular file");
        file.size_ = static_cast<std::uint64_t>(status.st_size);
        return file;
    }

    /// Reads as many bytes as `target` has; false if the file is shorter.
    bool read(std::uint64_t offset, std::span<char> target) const {
        if (!holds(offset, target.size())) return false;
        std::size_t done = 0;
        while (done < target.size()) {
            const ssize_t count =
                ::pread(fd_.get(), target.data() + done, target.size() - done, static_cast<off_t>(offset + done));
            if (count < 0 && errno == EINTR) continue;
            if (count <= 0) return false;
            done += static_cast<std::size_t>(count);
        }
        return true;
    }
    template <typename T>
    bool read_struct(std::uint64_t offset, T& target) const {
        return read(offset, {reinterpret_cast<char*>(&target), sizeof target});
    }
    [[nodiscard]] bool holds(std::uint64_t offset, std::uint64_t length) const {
        return offset <= size_ && length <= size_ - offset;
    }

  private:
    UniqueFd fd_;
    std::uint64_t size_ = 0;
};

Result<Elf64_Ehdr> read_header(const ElfFile& file) {
    std::array<char, EI_NIDENT> identity{};
    if (!file.read(0, identity) || std::memcmp(identity.data(), ELFMAG, SELFMAG) != 0)
        return invalid("it is not an ELF file");
    if (identity[EI_CLASS] != ELFCLASS64)
        return Error{FLOWD_UNSUPPORTED, "it is not a 64-bit ELF file", "install the module for this machine"};
    if (static_cast<unsigned char>(identity[EI_DATA]) != own_byte_order)
        return Error{FLOWD_UNSUPPORTED, "it has the byte order of another machine", "install the module for this machine"};
    Elf64_Ehdr header{};
    if (!file.read_struct(0, header)) return cut_short();
    if (header.e_machine != own_machine)
        return Error{FLOWD_UNSUPPORTED,
                     fmt::format("it is built for {}, this daemon for {}", machine_name(header.e_machine),
                                 machine_name(own_machine)),
                     "install the module for this machine"};
    if (header.e_type != ET_DYN) return invalid("it is not a shared object", "link it with -shared");
    if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum == 0 || header.e_phnum > max_program_headers)
        return invalid("its ELF program headers are malformed");
    return header;
}

/// Searches the notes of a segment (gABI, "Note Section") for ours and returns its description.
Result<std::optional<std::string>> find_note(std::span<const char> segment) {
    constexpr std::size_t head = 3 * sizeof(std::uint32_t);
    const auto padded = [](std::uint64_t length) { return (length + 3) & ~std::uint64_t{3}; };
    for (std::uint64_t at = 0; segment.size() - at >= head;) {
        std::uint32_t name_size = 0, description_size = 0, type = 0;
        std::memcpy(&name_size, segment.data() + at, 4);
        std::memcpy(&description_size, segment.data() + at + 4, 4);
        std::memcpy(&type, segment.data() + at + 8, 4);
        const std::uint64_t name_at = at + head;
        const std::uint64_t description_at = name_at + padded(name_size);
        const std::uint64_t end = description_at + padded(description_size);
        if (description_at + description_size > segment.size())
            return invalid("one of its ELF notes is malformed", note_hint);
        const std::string_view owner(segment.data() + name_at, name_size);
        if (owner == std::string_view(FLOWD_NOTE_OWNER, sizeof FLOWD_NOTE_OWNER) && type == FLOWD_NOTE_MODULE)
            return std::optional<std::string>(std::string(segment.data() + description_at, description_size));
        if (end >= segment.size()) break;
        at = end;
    }
    return std::optional<std::string>();
}

bool is_word(std::string_view text) {
    const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
               c == '.' || c == '+' || c == '~';
    };
    return !text.empty() && text.size() <= 128 && std::all_of(text.begin(), text.end(), allowed);
}

Result<void> read_line(Note& note, std::string_view key, std::string_view value) {
    const auto bad = [&] { return invalid(fmt::format("its note has a malformed line '{}'", key), note_hint); };
    if (key == "abi") {
        const std::size_t dot = value.find('.');
        if (dot == std::string_view::npos) return bad();
        const auto major = whole_number<std::uint32_t>(value.substr(0, dot));
        const auto minor = whole_number<std::uint32_t>(value.substr(dot + 1));
        if (!major || !minor) return bad();
        note.abi_major = *major;
        note.abi_minor = *minor;
        return {};
    }
    if (key == "name" || key == "version") {
        if (!is_word(value)) return bad();
        (key == "name" ? note.name : note.version) = value;
        return {};
    }
    constexpr std::string_view alias_suffix = ".alias";
    const bool is_alias = key.size() > alias_suffix.size() && key.substr(key.size() - alias_suffix.size()) == alias_suffix;
    const std::uint32_t kind = kind_of(is_alias ? key.substr(0, key.size() - alias_suffix.size()) : key);
    if (kind == 0) return {};
    if (!is_word(value)) return bad();
    if (!is_alias) {
        if (note.components.size() >= max_components) return invalid("its note names too many components");
        note.components.push_back({kind, std::string(value), {}});
        return {};
    }
    if (note.components.empty() || note.components.back().kind != kind) return bad();
    note.components.back().aliases.emplace_back(value);
    return {};
}

}  // namespace

std::uint32_t kind_of(std::string_view name) {
    return name == "plugin" ? FLOWD_PLUGIN : name == "backend" ? FLOWD_BACKEND : name == "enricher" ? FLOWD_ENRICHER : 0;
}

Result<Note> parse_note(std::string_view text) {
    while (!text.empty() && text.back() == '\0') text.remove_suffix(1);
    Note note;
    while (!text.empty()) {
        const std::size_t newline = text.find('\n');
        const std::string_view line = text.substr(0, newline);
        text = newline == std::string_view::npos ? std::string_view{} : text.substr(newline + 1);
        if (line.empty()) continue;
        const std::size_t equals = line.find('=');
        if (equals == std::string_view::npos) return invalid("its note has a line without '='", note_hint);
        if (auto read = read_line(note, line.substr(0, equals), line.substr(equals + 1)); !read)
            return std::move(read).error();
    }
    const char* missing = note.abi_major == 0       ? "abi"
                          : note.name.empty()       ? "name"
                          : note.version.empty()    ? "version"
                          : note.components.empty() ? "plugin, backend or enricher"
                                                    : nullptr;
    if (missing != nullptr) return invalid(fmt::format("its note has no line '{}'", missing), note_hint);
    return note;
}

Result<Note> read_note(const std::filesystem::path& path) {
    auto file = ElfFile::open(path);
    if (!file) return std::move(file).error();
    auto header = read_header(*file);
    if (!header) return std::move(header).error();

    std::vector<Elf64_Phdr> segments(header->e_phnum);
    if (!file->read(header->e_phoff, {reinterpret_cast<char*>(segments.data()), segments.size() * sizeof(Elf64_Phdr)}))
        return cut_short();
    // Accessing a mapped file that is shorter than its headers claim raises SIGBUS; so this is checked before dlopen.
    for (const Elf64_Phdr& segment : segments)
        if (segment.p_type == PT_LOAD && !file->holds(segment.p_offset, segment.p_filesz)) return cut_short();

    for (const Elf64_Phdr& segment : segments) {
        if (segment.p_type != PT_NOTE || segment.p_filesz > max_note_segment) continue;
        std::string bytes(segment.p_filesz, '\0');
        if (!file->read(segment.p_offset, bytes)) return cut_short();
        auto found = find_note(bytes);
        if (!found) return std::move(found).error();
        if (found->has_value()) return parse_note(**found);
    }
    return invalid("it has no ELF note .note.flowd, so it is not a flowd module", note_hint);
}

}  // namespace flowd::core
