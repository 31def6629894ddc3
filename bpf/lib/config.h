/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The marker's constants: user space sets them before it loads the program, the verifier removes code that they disable. */
#ifndef FLOWD_BPF_LIB_CONFIG_H
#define FLOWD_BPF_LIB_CONFIG_H

#include "bpf/marker_types.h"

const volatile struct marker_config marker_config = {};

#endif
