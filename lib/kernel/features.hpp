// SPDX-License-Identifier: Apache-2.0
// lib/kernel/features.hpp: which features this kernel offers to BPF programs, traffic control and sock_diag. Reads files
// and queries the kernel; changes nothing. Not bound to a thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flowd/result.hpp"

namespace flowd::kernel {

enum class FeatureState {
    present,
    missing,  ///< the kernel, its configuration or its installed modules lack it
    denied,   ///< the kernel has it and its security settings deny it to everybody
    unknown,  ///< this process cannot find out
};

/// "present", "missing", "denied" or "unknown".
[[nodiscard]] std::string_view name_of(FeatureState state);

struct Feature {
    std::string name = {};  ///< stable; docs/kernels.md lists them
    FeatureState state = FeatureState::unknown;
    std::string found = {};     ///< "there is no /sys/kernel/btf/vmlinux"
    std::string expected = {};  ///< "the kernel describes its types (CONFIG_DEBUG_INFO_BTF)"
    std::string remedy = {};

    [[nodiscard]] bool is_lacking() const { return state == FeatureState::missing || state == FeatureState::denied; }
    /// FLOWD_DENIED or FLOWD_UNSUPPORTED, with the remedy as hint.
    [[nodiscard]] Error error() const;
};

/// What the probe asks; tests replace it. Answers are 0 or an errno.
struct FeatureSources {
    std::string root = {};  ///< prefix of the paths of files
    std::string release;    ///< of uname(2)
    std::function<int()> query_tcx;
    std::function<int()> query_bpf;
    std::function<int(std::uint8_t protocol)> query_sock_diag;

    [[nodiscard]] static FeatureSources system();
};

/// A requirement is the name of a feature, or several with '|' between them, one of which is sufficient: "TCX|clsact".
class Features {
  public:
    explicit Features(FeatureSources sources = FeatureSources::system()) : sources_(std::move(sources)) {}

    [[nodiscard]] static std::span<const std::string_view> names();
    /// The state of a feature now. An unknown name has the state `unknown`.
    [[nodiscard]] Feature look(std::string_view name) const;
    /// Nothing if the requirement is met, or if that is unknown. Otherwise the first alternative, with the reasons of all.
    [[nodiscard]] std::optional<Feature> lacking(std::string_view requirement) const;
    /// The first of the requirements that is not met.
    [[nodiscard]] std::optional<Feature> first_lacking(std::span<const std::string_view> requirements) const;

  private:
    FeatureSources sources_;
};

/// The names of a requirement.
[[nodiscard]] std::vector<std::string_view> alternatives(std::string_view requirement);

}  // namespace flowd::kernel
