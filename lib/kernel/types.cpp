// SPDX-License-Identifier: Apache-2.0
#include "lib/kernel/types.hpp"

#include <fcntl.h>
#include <linux/btf.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "flowd/unique_fd.hpp"

namespace flowd::kernel {
namespace {

/// A part of a file, read from its beginning as far as is needed: what is looked for is usually near the beginning.
class Section {
  public:
    Section(int fd, std::size_t offset, std::size_t size) : fd_(fd), offset_(offset), size_(size) {}

    /// Its first bytes; fewer if it has not so many.
    [[nodiscard]] std::string_view first(std::size_t size) {
        size = std::min(size, size_);
        std::array<char, 4096> buffer;  // what sysfs returns at a time
        while (bytes_.size() < size) {
            const ssize_t got = ::pread(fd_, buffer.data(), std::min(buffer.size(), size_ - bytes_.size()),
                                        static_cast<off_t>(offset_ + bytes_.size()));
            if (got <= 0) break;
            bytes_.append(buffer.data(), static_cast<std::size_t>(got));
        }
        return std::string_view(bytes_).substr(0, size);
    }
    template <typename T>
    [[nodiscard]] std::optional<T> read(std::size_t offset) {
        T value{};
        const std::string_view bytes = first(offset + sizeof value);
        if (bytes.size() < offset + sizeof value) return std::nullopt;
        std::memcpy(&value, bytes.data() + offset, sizeof value);
        return value;
    }

  private:
    int fd_;
    std::size_t offset_;
    std::size_t size_;
    std::string bytes_;
};

/// The offset of a string in the table of strings, in which each is present once.
std::optional<std::uint32_t> find_string(Section& strings, std::string_view text) {
    constexpr std::size_t step = 4096;
    const std::string wanted = std::string(1, '\0').append(text).append(1, '\0');
    for (std::size_t searched = 0;; searched += step) {
        const std::string_view bytes = strings.first(searched + step + wanted.size());
        if (const auto at = bytes.find(wanted, searched); at != bytes.npos) return static_cast<std::uint32_t>(at + 1);
        if (bytes.size() < searched + step) return std::nullopt;
    }
}

/// The size of what follows the header of a type; nothing for a kind that is newer than this code.
std::optional<std::size_t> size_after(const btf_type& type) {
    const std::size_t members = BTF_INFO_VLEN(type.info);
    switch (BTF_INFO_KIND(type.info)) {
        case BTF_KIND_INT:
        case BTF_KIND_VAR:
        case 17:  // BTF_KIND_DECL_TAG, which older headers lack
            return 4;
        case BTF_KIND_ARRAY:
            return sizeof(btf_array);
        case BTF_KIND_STRUCT:
        case BTF_KIND_UNION:
            return members * sizeof(btf_member);
        case BTF_KIND_ENUM:
        case BTF_KIND_FUNC_PROTO:
            return members * 8;
        case BTF_KIND_DATASEC:
        case 19:  // BTF_KIND_ENUM64
            return members * 12;
        case BTF_KIND_PTR:
        case BTF_KIND_FWD:
        case BTF_KIND_TYPEDEF:
        case BTF_KIND_VOLATILE:
        case BTF_KIND_CONST:
        case BTF_KIND_RESTRICT:
        case BTF_KIND_FUNC:
        case 16:  // BTF_KIND_FLOAT
        case 18:  // BTF_KIND_TYPE_TAG
            return 0;
        default:
            return std::nullopt;
    }
}

}  // namespace

Result<std::uint32_t> member_offset(std::string_view type, std::string_view member, const std::string& file) {
    const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return Error::from_errno(errno, "the types of the kernel, " + file);
    const auto header = Section(fd.get(), 0, sizeof(btf_header)).read<btf_header>(0);
    if (!header || header->magic != BTF_MAGIC) return Error{FLOWD_UNSUPPORTED, file + " is not BTF of this machine"};
    Section types(fd.get(), std::size_t{header->hdr_len} + header->type_off, header->type_len);
    Section strings(fd.get(), std::size_t{header->hdr_len} + header->str_off, header->str_len);
    const auto type_name = find_string(strings, type);
    const auto member_name = find_string(strings, member);
    if (type_name && member_name) {
        for (std::size_t at = 0;;) {
            const auto each = types.read<btf_type>(at);
            const auto after = each ? size_after(*each) : std::nullopt;
            if (!after) break;
            at += sizeof *each;
            const bool is_wanted = BTF_INFO_KIND(each->info) == BTF_KIND_STRUCT && each->name_off == *type_name;
            for (std::size_t i = 0; is_wanted && i < BTF_INFO_VLEN(each->info); ++i) {
                const auto found = types.read<btf_member>(at + i * sizeof(btf_member));
                if (!found || found->name_off != *member_name) continue;
                const bool has_bit_fields = BTF_INFO_KFLAG(each->info) != 0;  // then the upper byte is a width
                return (has_bit_fields ? BTF_MEMBER_BIT_OFFSET(found->offset) : found->offset) / 8;
            }
            at += *after;
        }
    }
    return Error{FLOWD_UNSUPPORTED, file + " has no member " + std::string(member) + " of struct " + std::string(type)};
}

}  // namespace flowd::kernel
