/* SPDX-License-Identifier: Apache-2.0 */
/* Linked against, but never where the dynamic linker looks. */
__attribute__((visibility("default"))) void zoo_function_of_absent_library(void);
void zoo_function_of_absent_library(void) {}
