// SPDX-License-Identifier: Apache-2.0
#include "backends/marker/pins.hpp"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "lib/bpf/error.hpp"

namespace flowd::marker {
namespace {

namespace fs = std::filesystem;

constexpr const char* layout = "v2";  // the version of the layout of bpf/marker_types.h

/// bpffs does not allow dots in names.
std::string folder_of(const std::string& path, std::string_view instance) {
    std::string name(instance);
    std::replace(name.begin(), name.end(), '/', '_');
    std::replace(name.begin(), name.end(), '.', '_');
    return path + "/" + name;
}

Result<UniqueFd> lock(const std::string& folder) {
    UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return bpf::system_error(errno, "opening " + folder);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0)
        return Error{FLOWD_ERROR, folder + " belongs to a marker that is running",
                     "give each daemon a persistPath of its own"};
    return fd;
}

Result<bool> remove_folder(const std::string& folder) {
    std::error_code error;
    if (!fs::exists(folder, error)) return false;
    auto locked = lock(folder);
    if (!locked) return std::move(locked).error();
    fs::remove_all(folder, error);
    if (error) return Error{FLOWD_ERROR, "removing " + folder + ": " + error.message()};
    return true;
}

}  // namespace

Result<Pins> Pins::open(const std::string& path, std::string_view instance) {
    struct statfs about {};
    if (::statfs(path.c_str(), &about) != 0 || static_cast<unsigned long>(about.f_type) != BPF_FS_MAGIC)
        return Error{FLOWD_NOT_FOUND, path + " is not a BPF file system",
                     "mount -t bpf bpf " + path + ", or enable run-bpf-flowd.mount", "persistPath"};
    const std::string own = folder_of(path, instance);
    const std::string folder = own + "/" + layout;
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) return Error{FLOWD_ERROR, "making " + folder + ": " + error.message(), "", "persistPath"};
    auto locked = lock(own);
    if (!locked) return std::move(locked).error();
    for (const auto& entry : fs::directory_iterator(own, error))
        if (entry.path().filename() != layout) fs::remove_all(entry.path(), error);  // of another release
    return Pins(folder, *std::move(locked));
}

Result<bool> Pins::discard(const std::string& path, std::string_view instance) {
    return remove_folder(folder_of(path, instance));
}

Result<std::uint32_t> Pins::discard_all(const std::string& path) {
    std::uint32_t removed = 0;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(path, error)) {
        if (!entry.path().filename().string().starts_with("marker")) continue;
        const auto done = remove_folder(entry.path());
        if (done && *done) ++removed;  // otherwise the instance is running
    }
    return removed;
}

std::optional<UniqueFd> Pins::map(const char* name, std::uint32_t value_size, std::uint32_t entries) const {
    UniqueFd fd(bpf_obj_get((folder_ + "/" + name).c_str()));
    if (!fd) return std::nullopt;
    bpf_map_info info{};
    __u32 size = sizeof info;
    if (bpf_obj_get_info_by_fd(fd.get(), &info, &size) != 0 || info.value_size != value_size || info.max_entries != entries)
        return std::nullopt;
    return fd;
}

Result<void> Pins::pin_map(const char* name, int fd) const {
    const std::string path = folder_ + "/" + name;
    ::unlink(path.c_str());
    if (const int number = bpf_obj_pin(fd, path.c_str())) return bpf::system_error(number, "pinning " + path);
    return {};
}

}  // namespace flowd::marker
