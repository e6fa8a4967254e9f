// SPDX-License-Identifier: MIT
// What the verbs share in reading their arguments and in showing requesters, addresses and entries.
#ifndef TOOL_INSPECT_SHOW_H
#define TOOL_INSPECT_SHOW_H

#include "inspect/json_out.h"
#include "inspect/model.h"
#include "inspect/pci_names.h"
#include "inspect/requester.h"
#include "inspect/text.h"
#include "inspect/verbs.h"

// An address: hexadecimal, 0x before it or not.
bool show_parse_address(const char *text, uint64_t *out);
// "ADDR" (one page's worth is not meant: one byte), "FIRST-LAST" (last inclusive) or "START+SIZE" (bytes, K,
// M or G, or 0x and hexadecimal).
bool show_parse_range(const char *text, uint64_t *first, uint64_t *last);
// A number of bytes: decimal with K, M or G, or hexadecimal with 0x. false: it is none.
bool show_parse_size(const char *text, uint64_t *out);

// Begins the outermost object with what every verb's output has: the verb, the dump.
void show_json_begin(struct json_out *out, const struct verb_call *call, const struct inspection *inspection);
// Ends everything that is open, with "incomplete" and "partial" as the last members of the outermost object.
void show_json_end(struct json_out *out, bool incomplete);

// The requester that text names. INSPECT_OK, or the exit status; a message was printed then.
int show_find(const struct verb_call *call, const struct inspection *inspection, const char *text,
              struct inspect_requester **out);
// "0000:00:02.0 on dmar0, domain 5, second stage, 4 levels, tables at 0x1b23000", and a line about what it is
// when that is known.
void show_requester(const struct inspection *inspection, const struct inspect_requester *r);

// Bits of the addresses that a tree translates; 64 of one that translates everything.
unsigned show_iova_bits(const struct inspect_tree *tree);
// Hexadecimal digits that IOVAs of a tree need.
int show_iova_digits(const struct inspect_tree *tree);
// What tables of a level (0: of leaves alone) and their entries are called: "PD", "PDE".
// "read and write", "read only", "write only", "neither read nor write".
const char *show_rights(bool r, bool w);
const char *show_table_name(unsigned level);
const char *show_entry_name(unsigned level);

// "mapped", "not mapped", "unknown", "broken", "beyond".
const char *show_way_end(enum inspect_way_end end);

// Whether more is to be printed: DAM_E_IO when a disk is full or a reader has gone, DAM_E_STATE: interrupted.
dam_err show_go_on(void);

// Members "kind", "iova", "size" and, of what is mapped, "address", "readable", "writable".
struct json_object *show_range_json(const struct inspect_range *range);

// The requesters that share a tree, as a list of names for people: "0000:00:02.0, 0000:00:02.1".
void show_sharers(const struct inspection *inspection, const struct inspect_tree *tree);
// The same, a line each, with what they are.
void show_sharer_lines(const struct inspection *inspection, const struct inspect_tree *tree,
                       struct pci_names *names);
// The same as a list of the open object.
void show_json_sharers(struct json_out *out, const struct inspection *inspection,
                       const struct inspect_tree *tree);

#endif
