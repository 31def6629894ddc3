// SPDX-License-Identifier: Apache-2.0
#include "lib/bpf/object.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "flowd/unique_fd.hpp"
#include "lib/bpf/error.hpp"
#include "lib/bpf/ring.hpp"
#include "lib/bpf/sized.hpp"

namespace flowd::bpf {
namespace {

/// For calls that load nothing: the errno, and what libbpf says.
Error error_of(const Messages& messages, int number, const std::string& what) {
    Error error = system_error(number, what);
    const std::string& warning = messages.heard().warning;
    if (error.code != FLOWD_DENIED && !warning.empty()) error.message += " (" + warning + ")";
    return error;
}

bpf_object* open_image(std::span<const std::uint8_t> elf, const std::string& name) {
    auto options = sized<bpf_object_open_opts>();
    options.object_name = name.c_str();
    return bpf_object__open_mem(elf.data(), elf.size(), &options);
}

}  // namespace

void Object::Closer::operator()(bpf_object* object) const {
    bpf_object__close(object);
}

Object::Object(bpf_object* object, std::span<const std::uint8_t> elf, std::string name, LogSink log)
    : object_(object), elf_(elf), name_(std::move(name)), log_(std::move(log)) {}

Result<Object> Object::open(std::span<const std::uint8_t> elf, const std::string& name, LogSink log) {
    const Messages messages(log);
    bpf_object* const object = open_image(elf, name);
    if (object == nullptr) return error_of(messages, errno, "reading the BPF object " + name);
    return Object(object, elf, name, std::move(log));
}

Result<Object> Object::open_file(const std::string& path, LogSink log) {
    const Messages messages(log);
    bpf_object* const object = bpf_object__open_file(path.c_str(), nullptr);
    if (object == nullptr) {
        Error error = error_of(messages, errno, "reading the BPF object " + path);
        if (error.code == FLOWD_UNSUPPORTED) error.code = FLOWD_INVALID;  // the file is not this program's own
        return error;
    }
    return Object(object, {}, path, std::move(log));
}

Result<void> Object::defer(const std::string& program) {
    bpf_program* const found = bpf_object__find_program_by_name(object_.get(), program.c_str());
    if (found == nullptr) return no_program(program);
    if (!elf_.empty()) (void)bpf_program__set_autoload(found, false);
    return {};
}

Result<void> Object::set_max_entries(const std::string& map, std::uint32_t entries) {
    bpf_map* const found = bpf_object__find_map_by_name(object_.get(), map.c_str());
    if (found == nullptr) return Error{FLOWD_NOT_FOUND, "the BPF object " + name_ + " has no map " + map};
    if (const int number = bpf_map__set_max_entries(found, entries)) return system_error(number, "sizing BPF map " + map);
    return {};
}

Result<void> Object::reuse_map(const std::string& map, int fd) {
    bpf_map* const found = bpf_object__find_map_by_name(object_.get(), map.c_str());
    if (found == nullptr) return Error{FLOWD_NOT_FOUND, "the BPF object " + name_ + " has no map " + map};
    const Messages messages(log_);
    if (const int number = bpf_map__reuse_fd(found, fd)) return error_of(messages, number, "taking over BPF map " + map);
    return {};
}

Result<void> Object::set_read_only_data(const void* data, std::size_t size) {
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object_.get()) {
        if (!std::string_view(bpf_map__name(map)).ends_with(".rodata")) continue;
        if (bpf_map__set_initial_value(map, data, size) == 0) return {};
        return Error{FLOWD_INVALID,
                     "the constants of the BPF object " + name_ + " have another layout than this program expects"};
    }
    return Error{FLOWD_NOT_FOUND, "the BPF object " + name_ + " has no constants (.rodata)"};
}

/// libbpf does this since version 0.8.
void Object::round_rings() {
    const auto page = static_cast<std::uint32_t>(::sysconf(_SC_PAGESIZE));
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object_.get()) {
        if (bpf_map__type(map) == BPF_MAP_TYPE_RINGBUF)
            (void)bpf_map__set_max_entries(map, ring_size(bpf_map__max_entries(map), page));
    }
}

Result<void> Object::load(std::span<const std::string_view> needs) {
    const Messages messages(log_);
    needs_ = needs;
    round_rings();
    if (const int number = bpf_object__load(object_.get()))
        return load_error(number, "loading the BPF object " + name_ + " into the kernel", messages.heard(), needs);
    return {};
}

Result<int> Object::find_map(const std::string& name, std::size_t key_size, std::size_t value_size) const {
    const bpf_map* const map = bpf_object__find_map_by_name(object_.get(), name.c_str());
    if (map == nullptr) return Error{FLOWD_NOT_FOUND, "the BPF object " + name_ + " has no map " + name};
    if (bpf_map__key_size(map) != key_size || bpf_map__value_size(map) != value_size)
        return Error{FLOWD_INVALID,
                     "map " + name + " of the BPF object " + name_ + " has another layout than this program expects"};
    return bpf_map__fd(map);
}

Result<int> Object::program(const std::string& name) {
    const bpf_program* const program = bpf_object__find_program_by_name(object_.get(), name.c_str());
    if (program == nullptr) return no_program(name);
    if (bpf_program__autoload(program)) return bpf_program__fd(program);
    for (const auto& deferred : deferred_)
        if (const auto* const loaded = bpf_object__find_program_by_name(deferred.get(), name.c_str());
            bpf_program__autoload(loaded))
            return bpf_program__fd(loaded);
    return load_deferred(name);
}

Result<int> Object::load_deferred(const std::string& program) {
    const Messages messages(log_);
    const std::string what = "loading " + program + " of the BPF object " + name_ + " into the kernel";
    std::unique_ptr<bpf_object, Closer> object(open_image(elf_, name_));
    if (object == nullptr) return error_of(messages, errno, what);
    bpf_program* other = nullptr;
    bpf_object__for_each_program(other, object.get())(void)
        bpf_program__set_autoload(other, bpf_program__name(other) == program);
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object.get()) {
        const bpf_map* const same = bpf_object__find_map_by_name(object_.get(), bpf_map__name(map));
        if (const int number = bpf_map__reuse_fd(map, bpf_map__fd(same))) return error_of(messages, number, what);
    }
    if (const int number = bpf_object__load(object.get())) return load_error(number, what, messages.heard(), needs_);
    deferred_.push_back(std::move(object));
    return bpf_program__fd(bpf_object__find_program_by_name(deferred_.back().get(), program.c_str()));
}

Error Object::no_program(const std::string& name) const {
    return Error{FLOWD_NOT_FOUND, "the BPF object " + name_ + " has no program " + name};
}

Result<void> run_once(int program) {
    const std::array<std::uint8_t, 64> frame{};
    auto options = sized<bpf_test_run_opts>();
    options.data_in = frame.data();
    options.data_size_in = frame.size();
    options.repeat = 1;
    if (const int number = bpf_prog_test_run_opts(program, &options)) return system_error(number, "running a BPF program");
    return {};
}

std::string program_name(std::uint32_t id) {
    const UniqueFd program(bpf_prog_get_fd_by_id(id));
    bpf_prog_info info{};
    __u32 size = sizeof info;
    if (!program || bpf_obj_get_info_by_fd(program.get(), &info, &size) != 0) return {};
    return {info.name, ::strnlen(info.name, sizeof info.name)};
}

bool is_held_here(std::uint32_t program) {
    // The only way to find out without CAP_SYS_ADMIN.
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fdinfo", error)) {
        std::ifstream about(entry.path());
        for (std::string line; std::getline(about, line);)
            if (line.starts_with("prog_id:") && std::strtoul(line.c_str() + 8, nullptr, 10) == program) return true;
    }
    return false;
}

std::string filter_name(int program) {
    bpf_prog_info info{};
    __u32 size = sizeof info;
    if (bpf_obj_get_info_by_fd(program, &info, &size) != 0) return {};
    return std::string(info.name, ::strnlen(info.name, sizeof info.name)) + ":[" + std::to_string(info.id) + "]";
}

std::uint32_t program_id(int program) {
    bpf_prog_info info{};
    __u32 size = sizeof info;
    return bpf_obj_get_info_by_fd(program, &info, &size) == 0 ? info.id : 0;
}

}  // namespace flowd::bpf
