/* SPDX-License-Identifier: Apache-2.0 */
#include "flowd/abi/note.h"

FLOWD_MODULE_NOTE("abi=1.0\nname=plugin-c11\nversion=1.0.0\nplugin=c11\nbackend=c11\nbackend.alias=plainc\n");
