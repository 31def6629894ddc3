// SPDX-License-Identifier: Apache-2.0
// Each broken module is refused with exactly this sentence: it is what an author or administrator acts on.
#include <gtest/gtest.h>

#include <set>

#include "core/modules/module_set.hpp"

namespace flowd::core {
namespace {

namespace fs = std::filesystem;

struct Broken {
    const char* name;
    const char* message;
};

void PrintTo(const Broken& module, std::ostream* out) {
    *out << module.name;
}

fs::path zoo() {
    return FLOWD_ZOO_DIR;
}

class Zoo : public testing::TestWithParam<Broken> {};

TEST_P(Zoo, IsRefusedWithThisMessage) {
    ModuleSet set;
    const auto loaded = set.load_file(zoo() / (std::string(GetParam().name) + ".so"));
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().message, GetParam().message);
    ASSERT_EQ(set.modules().size(), 1u);
    EXPECT_EQ(set.modules()[0]->state, ModuleState::failed);
    EXPECT_EQ(set.modules()[0]->failure->message, GetParam().message);
}

const Broken modules[] = {
    {"no-symbol", "it does not export flowd_module_v1"},
    {"other-major-note", "it is for module ABI 2.0, this daemon speaks 1.0"},
    {"other-major-symbol", "it exports flowd_module_v2: it is for module ABI 2, this daemon speaks 1"},
    {"other-major-descriptor", "it exports flowd_module_v1, but says that it was compiled for ABI 2.0"},
    {"null-descriptor", "flowd_module_v1 returned null"},
    {"throws-in-entry", "flowd_module_v1 threw an exception: no cage is strong enough"},
    {"descriptor-size-zero", "member 'size' of its flowd_module is 0: it has to be sizeof(flowd_module)"},
    {"descriptor-size-huge", "member 'size' of its flowd_module is 4294967280: it has to be sizeof(flowd_module)"},
    {"descriptor-no-license", "member 'license' of its flowd_module is missing"},
    {"descriptor-no-components", "member 'component_count' of its flowd_module is missing"},
    {"descriptor-bad-stride", "member 'component_stride' of its flowd_module is 0: it has to be sizeof(flowd_component)"},
    {"component-size-zero", "member 'size' of its flowd_component is 0: it has to be sizeof(flowd_component)"},
    {"component-bad-kind", "member 'kind' of its flowd_component is 9, which is not a component kind"},
    {"component-no-name", "member 'name' of its flowd_component is missing"},
    {"component-bad-name", "'my/zoo' is not a name for a component: lower-case letters and digits, a letter first"},
    {"component-bad-alias", "plugin 'zoo': alias 'a b' is not a name"},
    {"component-bad-precedence", "plugin 'zoo': member 'precedence' is 4711, which is not 1 to 255"},
    {"component-bad-loop", "plugin 'zoo': member 'loop' is 7, which is not a FLOWD_LOOP_*"},
    {"component-unknown-flag", "plugin 'zoo': member 'flags' has the bits 0x80000000, which this core does not know"},
    {"component-always-without-reconfigure",
     "plugin 'zoo': member 'flags' has FLOWD_COMPONENT_RECONFIGURE_ALWAYS, but member 'reconfigure' is missing"},
    {"component-unknown-event", "backend 'zoo': member 'accepts' has the bits 0x41, which are not kinds of events"},
    {"missing-summary", "plugin 'zoo': member 'summary' is missing"},
    {"missing-precedence", "plugin 'zoo': member 'precedence' is missing"},
    {"missing-create", "plugin 'zoo': member 'create' is missing"},
    {"missing-start", "plugin 'zoo': member 'start' is missing"},
    {"missing-stop", "plugin 'zoo': member 'stop' is missing"},
    {"missing-destroy", "plugin 'zoo': member 'destroy' is missing"},
    {"missing-run", "plugin 'zoo': member 'run' is missing"},
    {"missing-on-events", "backend 'zoo': member 'on_events' is missing"},
    {"missing-accepts", "backend 'zoo': member 'accepts' is missing"},
    {"missing-sample", "enricher 'zoo': member 'sample' is missing"},
    {"stray-on-events", "plugin 'zoo': member 'on_events' is set, which a hosted plugin does not have"},
    {"duplicate-component", "plugin 'zoo' is declared twice"},
    {"option-no-name", "plugin 'zoo': option 0: it has no name of letters and digits"},
    {"option-bad-type", "plugin 'zoo': option what: type 99 is unknown to this core"},
    {"option-unknown-flag", "plugin 'zoo': option what: it has a flag this core does not know"},
    {"option-bound-without-flag",
     "plugin 'zoo': option what: it has a bound without FLOWD_OPTION_MINIMUM or FLOWD_OPTION_MAXIMUM"},
    {"option-duplicate", "plugin 'zoo': option text: its name is taken"},
    {"option-bad-default", "plugin 'zoo': option port: its default 'many': not an integer, allowed: an integer"},
    {"option-size-zero", "plugin 'zoo': option 0: its size of 0 does not fit the table"},
    {"option-unknown-tail", "plugin 'zoo': option 0: it asks for something this core does not know"},
    {"note-missing", "it has no ELF note .note.flowd, so it is not a flowd module"},
    {"note-malformed", "its note has a line without '='"},
    {"note-incomplete", "its note has no line 'plugin, backend or enricher'"},
    {"note-overlong", "one of its ELF notes is malformed"},
    {"note-other-version", "its note says version 2.0, but flowd_module_v1 says 1.0"},
    {"note-other-component", "its note says that it holds backend 'zoo', but flowd_module_v1 says plugin 'zoo'"},
    {"note-other-alias", "its note says that the aliases of 'zoo' are lion, but flowd_module_v1 says none"},
    {"undefined-symbol", "it needs the symbol 'zoo_function_of_nobody', which none of its libraries has"},
    {"missing-library", "it needs the library libzoo_absent.so, which is not installed"},
};

INSTANTIATE_TEST_SUITE_P(Modules, Zoo, testing::ValuesIn(modules), [](const auto& module) {
    std::string name = module.param.name;
    for (char& c : name)
        if (c == '-') c = '_';
    return name;
});

TEST(ZooTest, HasACaseForEveryModule) {
    std::set<std::string> expected = {"good.so", "newer-minor.so"};
    for (const Broken& module : modules) expected.insert(std::string(module.name) + ".so");
    std::set<std::string> built;
    for (const auto& entry : fs::directory_iterator(zoo())) built.insert(entry.path().filename().string());
    EXPECT_EQ(built, expected);
}

TEST(ZooTest, ACorrectModuleLoads) {
    ModuleSet set;
    const auto loaded = set.load_file(zoo() / "good.so");
    EXPECT_TRUE(loaded) << loaded.error().message;
}

TEST(ZooTest, AModuleOfALaterMinorLoadsWithoutUnknownMembers) {
    ModuleSet set;
    const auto loaded = set.load_file(zoo() / "newer-minor.so");
    ASSERT_TRUE(loaded) << loaded.error().message;
    ASSERT_EQ((*loaded)->declared.components.size(), 1u);
    EXPECT_EQ((*loaded)->declared.components[0]->name(), "zoo");
    EXPECT_EQ((*loaded)->declared.components[0]->table.size, sizeof(flowd_component));
    EXPECT_EQ((*loaded)->declared.abi_minor, 7u);
}

}  // namespace
}  // namespace flowd::core
