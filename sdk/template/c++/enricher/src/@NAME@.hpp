// SPDX-License-Identifier: Apache-2.0
// A sampler of live connections: tells of each TCP flow which congestion control this host gives to new sockets.
#pragma once

#include <filesystem>
#include <string>

#include "flowd/module.hpp"

namespace @NAME@_module {

struct Options {
    std::filesystem::path file;
    static const flowd::Table<Options>& table();
};

class @CLASS@ final : public flowd::Enricher {
  public:
    using Options = @NAME@_module::Options;
    static constexpr flowd::Info info{.name = "@NAME@", .summary = "Adds the default congestion control to TCP flows."};

    @CLASS@(flowd::Host& host, Options options) : Enricher(host), options_(std::move(options)) {}

    flowd::Result<void> prepare() override;
    void sample(const flowd::FlowBatch& flows, bool last, flowd::Samples& samples) override;

  private:
    Options options_;
    std::string congestion_;
};

}  // namespace @NAME@_module
