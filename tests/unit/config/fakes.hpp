// SPDX-License-Identifier: Apache-2.0
// Components with the option tables of real ones, but no code; and a lookup that offers them.
#pragma once

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "core/config/configuration.hpp"

namespace flowd::core::test {

/// A row of a table as a module in C would write it.
inline flowd_option row(std::uint32_t type, const char* name, const char* default_text = nullptr) {
    flowd_option option{};
    option.size = sizeof(flowd_option);
    option.type = type;
    option.name = name;
    option.doc = "Does something.";
    option.default_text = default_text;
    return option;
}
inline flowd_option required(flowd_option option) {
    option.flags |= FLOWD_OPTION_REQUIRED;
    return option;
}
inline flowd_option secret(flowd_option option) {
    option.flags |= FLOWD_OPTION_SECRET;
    return option;
}
inline flowd_option range(flowd_option option, std::int64_t minimum, std::int64_t maximum) {
    option.flags |= FLOWD_OPTION_MINIMUM;
    option.minimum = static_cast<double>(minimum);
    if (maximum == INT64_MAX) return option;
    option.flags |= FLOWD_OPTION_MAXIMUM;
    option.maximum = static_cast<double>(maximum);
    return option;
}
inline flowd_option unit(flowd_option option, const char* text) {
    option.unit = text;
    return option;
}
inline flowd_option aliases(flowd_option option, const char* const* words) {
    option.aliases = words;
    return option;
}
inline flowd_option choices(flowd_option option, const char* const* words) {
    option.choices = words;
    return option;
}
/// GROUP, LIST and MAP; `fields` is borrowed.
inline flowd_option with(flowd_option option, const std::vector<flowd_option>& fields) {
    option.fields = fields.data();
    option.field_count = fields.size();
    option.field_stride = sizeof(flowd_option);
    return option;
}

/// Offers the components that were added, like a set of installed modules.
class FakeModules : public ComponentLookup {
  public:
    /// `options` is borrowed.
    flowd_component& add(std::uint32_t kind, const char* name, const std::vector<flowd_option>& options) {
        flowd_component& component = components_[{kind, name}];
        component.size = sizeof(flowd_component);
        component.kind = kind;
        component.name = name;
        component.summary = "A component of a test.";
        component.options = options.data();
        component.option_count = options.size();
        component.option_stride = sizeof(flowd_option);
        return component;
    }
    void refuse(std::uint32_t kind, const char* name, Error error) {
        refused_.insert_or_assign({kind, name}, std::move(error));
    }

    Result<FoundComponent> find(std::uint32_t kind, std::string_view name, std::string_view module_path) override {
        asked_for.emplace_back(name);
        const Key key{kind, std::string(name)};
        if (const auto refused = refused_.find(key); refused != refused_.end()) return refused->second;
        const auto found = components_.find(key);
        if (found == components_.end()) return Error{FLOWD_NOT_FOUND, "no module has it"};
        return FoundComponent{&found->second,
                              module_path.empty() ? "/lib/" + std::string(name) + ".so" : std::string(module_path)};
    }
    [[nodiscard]] std::vector<std::string> names(std::uint32_t kind) const override {
        std::vector<std::string> all;
        for (const auto& entry : components_)
            if (entry.first.first == kind) all.push_back(entry.first.second);
        return all;
    }

    std::vector<std::string> asked_for;

  private:
    using Key = std::pair<std::uint32_t, std::string>;
    std::map<Key, flowd_component> components_;
    std::map<Key, Error> refused_;
};

inline constexpr const char* small_registry = R"({"experiments": [
  {"expName": "atlas", "expId": 2, "activities": [
    {"activityName": "perfSONAR", "activityId": 2}, {"activityName": "Debug", "activityId": 9}]},
  {"expName": "cms", "expId": 3, "activities": [
    {"activityName": "perfSONAR", "activityId": 2}, {"activityName": "Debug", "activityId": 14},
    {"activityName": "Tier-0", "activityId": 21}]}]})";

inline constexpr const char* small_catalog = R"(
plugins:
  fireflyp: {package: flowd-cpp-plugin-fireflyp, aliases: [firefly]}
  namedpipe: {package: flowd-cpp-plugin-namedpipe, aliases: [namedPipe, np]}
backends:
  metrics: {package: flowd-cpp-backend-metrics, aliases: [prometheus]}
)";

/// Everything that loading needs.
struct World {
    FakeModules modules;
    Catalog catalog = Catalog::parse(small_catalog, "catalog.yaml").value();
    Registry registry = Registry::parse(small_registry).value();
    std::function<Result<std::filesystem::path>(const std::filesystem::path&)> trust;

    LoadedConfiguration parse(std::string_view text) { return parse_configuration(text, "conf.yaml", context()); }
    LoadedConfiguration load(const std::filesystem::path& file) { return load_configuration(file, context()); }
    [[nodiscard]] LoadContext context() {
        return LoadContext{catalog, registry, [this](const Globals&) -> ComponentLookup& { return modules; }, trust};
    }
};

/// A directory that goes away.
class TemporaryDirectory {
  public:
    TemporaryDirectory() {
        std::string name = (std::filesystem::temp_directory_path() / "flowd-config-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
        path_ = name;
    }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    ~TemporaryDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    std::filesystem::path write(const std::filesystem::path& name, std::string_view text) const {
        const auto file = path_ / name;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file) << text;
        return file;
    }
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

}  // namespace flowd::core::test
