// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/life.hpp"

namespace flowd::check {

namespace {

Outcome life_with(Subject& subject, const Oddity& oddity, bool failing_is_fine) {
    return with_life(
        subject,
        [&](Life& life, ProbeHost&) {
            if (!life.up()) {
                if (failing_is_fine) return Outcome::pass();
                return Outcome::skip(life.down());
            }
            life.live({});
            life.destroy();
            return Outcome::pass();
        },
        oddity);
}

Outcome without_extensions(Subject& subject) {
    Oddity oddity;
    oddity.no_extensions = true;
    return life_with(subject, oddity, true);
}

Outcome on_a_later_core(Subject& subject) {
    Oddity oddity;
    oddity.later_core = true;
    return life_with(subject, oddity, false);
}

Outcome on_a_refusing_core(Subject& subject) {
    Oddity oddity;
    oddity.refuses = true;
    return life_with(subject, oddity, true);
}

}  // namespace

std::vector<Check> core_checks() {
    return {
        {"core-later", "works with a later core, and reads no member of flowd_host beyond those that it knows", every_kind,
         on_a_later_core},
        {"core-bare", "works with a core without extensions", every_kind, without_extensions},
        {"core-refusing", "does not crash if the core refuses watches, timers, posts and metrics", every_kind,
         on_a_refusing_core},
    };
}

}  // namespace flowd::check
