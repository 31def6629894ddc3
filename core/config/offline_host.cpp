// SPDX-License-Identifier: Apache-2.0
#include "core/config/offline_host.hpp"

#include "core/base/guarded.hpp"
#include "flowd/abi/ext/daemon.h"
#include "flowd/abi/ext/registry.h"
#include "flowd/sized.hpp"

namespace flowd::core {

struct OfflineRegistry {
    static const Registry& of(const flowd_host* host) { return OfflineHost::of(host).registry_; }

    static flowd_result answer_id(std::optional<std::uint32_t> found, std::uint32_t* id) {
        if (!found || id == nullptr) return FLOWD_NOT_FOUND;
        *id = *found;
        return FLOWD_OK;
    }
    static flowd_result answer_name(std::string_view found, flowd_string* name) {
        if (name != nullptr) *name = to_c(found);
        return found.empty() ? FLOWD_NOT_FOUND : FLOWD_OK;
    }
    static flowd_result experiment_id(const flowd_host* host, flowd_string name, std::uint32_t* id) {
        return answer_id(of(host).experiment_id(to_view(name)), id);
    }
    static flowd_result activity_id(const flowd_host* host, std::uint32_t experiment, flowd_string name,
                                    std::uint32_t* id) {
        return answer_id(of(host).activity_id(experiment, to_view(name)), id);
    }
    static flowd_result experiment_name(const flowd_host* host, std::uint32_t id, flowd_string* name) {
        return answer_name(of(host).experiment_name(id), name);
    }
    static flowd_result activity_name(const flowd_host* host, std::uint32_t experiment, std::uint32_t id,
                                      flowd_string* name) {
        return answer_name(of(host).activity_name(experiment, id), name);
    }
};

struct OfflineDaemon {
    static bool is_behind(const flowd_host* host) { return static_cast<bool>(OfflineHost::of(host).behind_.ask); }
    static flowd_result ask(const flowd_host* host, const flowd_string* words, std::size_t count,
                            const flowd_writer* answer) {
        return guarded([&]() -> flowd_result {
            std::vector<std::string> list;
            for (std::size_t i = 0; i < count; ++i) list.emplace_back(to_view(words[i]));
            std::string text;
            const flowd_result result = OfflineHost::of(host).behind_.ask(list, text);
            const flowd_result written = answer->write(answer, to_c(text));
            return result < 0 ? result : written;
        });
    }
};

struct OfflineInterfaces {
    static flowd_result publish(const flowd_host* host, const flowd_interface* interfaces, std::size_t count,
                                std::size_t stride) {
        return guarded([&]() -> flowd_result {
            OfflineHost& self = OfflineHost::of(host);
            for (const flowd_interface& one : SizedRange<flowd_interface>(interfaces, count, stride))
                self.behind_.interfaces->push_back(
                    {one.use, one.index, std::string(to_view(one.name)), std::string(to_view(one.why)), self.name_});
            return FLOWD_OK;
        });
    }
    static flowd_result visit(const flowd_host* host, flowd_interface_visitor visitor, void* user) {
        return guarded([&]() -> flowd_result {
            for (const auto& one : *OfflineHost::of(host).behind_.interfaces) {
                const flowd_interface raw{sizeof raw,     one.use,       one.index,         0,
                                          to_c(one.name), to_c(one.why), to_c(one.instance)};
                if (visitor(user, &raw) != 0) break;
            }
            return FLOWD_OK;
        });
    }
    static flowd_result on_change(const flowd_host*, flowd_callback, void*) { return FLOWD_UNSUPPORTED; }
};

const void* OfflineHost::extension(const flowd_host* host, const char* id) {
    using R = OfflineRegistry;
    static constexpr flowd_ext_daemon daemon{sizeof(flowd_ext_daemon), 0, &OfflineDaemon::ask, nullptr};
    if (id != nullptr && std::string_view(id) == FLOWD_EXT_DAEMON)
        return OfflineDaemon::is_behind(host) ? &daemon : nullptr;
    static constexpr flowd_ext_interfaces interfaces{sizeof(flowd_ext_interfaces), 0, &OfflineInterfaces::publish,
                                                     &OfflineInterfaces::visit, &OfflineInterfaces::on_change};
    if (id != nullptr && std::string_view(id) == FLOWD_EXT_INTERFACES)
        return of(host).behind_.interfaces != nullptr ? &interfaces : nullptr;
    static constexpr flowd_ext_registry registry{
        sizeof(flowd_ext_registry), 0, &R::experiment_id, &R::activity_id, &R::experiment_name, &R::activity_name};
    return id != nullptr && std::string_view(id) == FLOWD_EXT_REGISTRY ? &registry : nullptr;
}

OfflineHost::OfflineHost(const Registry& registry, std::string name, const char* core_version, Behind behind)
    : registry_(registry), name_(std::move(name)), behind_(std::move(behind)) {
    abi_.size = sizeof abi_;
    abi_.abi_major = FLOWD_ABI_MAJOR;
    abi_.abi_minor = FLOWD_ABI_MINOR;
    abi_.context = this;
    abi_.instance = name_.c_str();
    abi_.core_version = core_version;
    abi_.log = [](const flowd_host* host, flowd_level level, flowd_string line) {
        guarded([&] {
            if (of(host).behind_.log) of(host).behind_.log(level, to_view(line));
        });
    };
    abi_.report = [](const flowd_host* host, const flowd_problem* problem) {
        guarded([&] {
            if (problem != nullptr && of(host).behind_.report) of(host).behind_.report(copy_sized<flowd_problem>(problem));
        });
    };
    abi_.refused = [](const flowd_host*, const flowd_refusal*) -> flowd_result { return FLOWD_UNSUPPORTED; };
    abi_.lost = [](const flowd_host*, std::uint64_t, flowd_string) {};
    abi_.sender_id = [](const flowd_host*, flowd_bytes) -> std::uint64_t { return 1; };
    abi_.emit = [](const flowd_host*, const flowd_event*, size_t, size_t, size_t* accepted, uint64_t*) -> flowd_result {
        if (accepted != nullptr) *accepted = 0;
        return FLOWD_UNSUPPORTED;
    };
    abi_.ready = [](const flowd_host*) {};
    abi_.post = [](const flowd_host*, flowd_callback, void*) -> flowd_result { return FLOWD_UNSUPPORTED; };
    abi_.loop_fd = [](const flowd_host*) { return -1; };
    abi_.dispatch = [](const flowd_host*) -> flowd_result { return FLOWD_UNSUPPORTED; };
    abi_.watch = [](const flowd_host*, int, uint32_t, flowd_io_callback, void*, flowd_watch*) -> flowd_result {
        return FLOWD_UNSUPPORTED;
    };
    abi_.rewatch = [](const flowd_host*, flowd_watch, uint32_t) -> flowd_result { return FLOWD_UNSUPPORTED; };
    abi_.unwatch = [](const flowd_host*, flowd_watch) {};
    abi_.timer = [](const flowd_host*, int64_t, int64_t, flowd_callback, void*, flowd_timer*) -> flowd_result {
        return FLOWD_UNSUPPORTED;
    };
    abi_.cancel = [](const flowd_host*, flowd_timer) {};
    abi_.metric_open = [](const flowd_host*, const flowd_metric_info*, flowd_metric*) -> flowd_result {
        return FLOWD_UNSUPPORTED;
    };
    abi_.metric_add = [](const flowd_host*, flowd_metric, double) {};
    abi_.metric_set = abi_.metric_add;
    abi_.metric_observe = abi_.metric_add;
    abi_.metric_remove = [](const flowd_host*, flowd_metric) {};
    abi_.extension = &OfflineHost::extension;
}

}  // namespace flowd::core
