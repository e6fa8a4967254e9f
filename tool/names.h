// SPDX-License-Identifier: MIT
// Words for the numbers of abi.h, findings.h and types.h, from their X-macro lists.
#ifndef TOOL_NAMES_H
#define TOOL_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include <cofferdam/abi.h>

// Each returns a static string; "unknown" for a number that is not in the list.
const char *name_policy(uint32_t policy);
const char *name_phase(uint32_t phase);
const char *name_stop(uint32_t stop);    // a sentence without full stop
const char *name_finding(uint32_t code); // a sentence without full stop
const char *name_severity(uint32_t severity);
const char *name_error(uint32_t error); // of enum dam_err
const char *name_unit_status(uint32_t status);
const char *name_old_kind(uint32_t kind);
const char *name_stage(uint32_t stage);

// The policy that a word names. false: no such word.
bool policy_from_word(const char *word, enum dam_policy *policy);

#endif
