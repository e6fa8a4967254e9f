// SPDX-License-Identifier: MIT
// What the files of kernel.h share. Nothing else includes this.
#ifndef TOOL_INSPECT_KERNEL_PARTS_H
#define TOOL_INSPECT_KERNEL_PARTS_H

#include "inspect/kernel.h"

struct btf; // libbpf

// How kernel virtual addresses become physical ones: the CPU's own page tables.
struct kernel_paging {
    dam_pa root;
    unsigned levels;   // 4 or 5
    uint64_t sme_mask; // a bit of every entry that is no part of the address
};

#define KALLSYMS_TOKENS 256u

// The kernel's own symbol table, in the compressed form that it has in memory.
struct kernel_symbols {
    uint8_t *names; // each: its length in tokens (one byte, or two), then that many tokens
    size_t names_size;
    char *tokens; // all of them, each ended by NUL
    uint16_t token[KALLSYMS_TOKENS];
    uint32_t count;
    uint64_t table; // virtual address of the offsets, or of the addresses
    enum kernel_symbols_form {
        KALLSYMS_PERCPU,   // negative offsets from the base; others are the values themselves
        KALLSYMS_RELATIVE, // offsets from the base
        KALLSYMS_PLACE,    // offsets from the place where they stand, with a sign
        KALLSYMS_ABSOLUTE, // 64-bit addresses
    } form;
    uint64_t base;
};

struct kernel {
    struct memory *memory;
    char *info; // VMCOREINFO
    size_t info_size;
    struct kernel_paging paging;
    struct kernel_symbols symbols;
    struct btf *btf;
};

// ---- kernel_info.c ---------------------------------------------------------------------------------------
// A number behind "key=" at the beginning of a line; base 10 (may have a sign) or 16. false: there is no such
// line, or no number in it.
bool info_number(const struct kernel *kernel, const char *key, int base, uint64_t *value);
// "SYMBOL(name)".
bool info_symbol(const struct kernel *kernel, const char *name, uint64_t *va);
// Copies the first page at or above *from that the dump holds and that begins as VMCOREINFO does; *from is
// then behind it. Whether it is the text of this kernel is another question.
bool info_search(struct memory *memory, uint64_t *from, char text[DAM_PAGE_SIZE]);

// ---- kernel_paging.c -------------------------------------------------------------------------------------
TOOL_MUST_CHECK enum tool_status paging_open(struct kernel *kernel, struct tool_error *error);
// Copies as much of size bytes at va as can be read, up to the first page that cannot; returns how much.
size_t kernel_read_some(const struct kernel *kernel, uint64_t va, void *out, size_t size, dam_err *why);
// Fails with "the dump does not hold WHAT (at ...)" or whatever err says. Returns TOOL_BAD_INPUT.
enum tool_status kernel_unreadable(const struct kernel *kernel, struct tool_error *error, dam_err err,
                                   const char *what, uint64_t va);

// ---- kernel_kallsyms.c, kernel_btf.c ---------------------------------------------------------------------
TOOL_MUST_CHECK enum tool_status symbols_open(struct kernel *kernel, struct tool_error *error);
void symbols_close(struct kernel_symbols *symbols);
TOOL_MUST_CHECK enum tool_status btf_open(struct kernel *kernel, struct tool_error *error);
void btf_close(struct kernel *kernel);

// ---- kernel_list.c ---------------------------------------------------------------------------------------
// A member that is looked up once and read often.
struct kernel_field {
    const char *structure, *member;
    uint32_t offset, size;
};
// Fills in offsets and sizes. TOOL_BAD_INPUT: one is not there.
TOOL_MUST_CHECK enum tool_status fields_find(const struct kernel *kernel, struct kernel_field *fields,
                                             size_t count, struct tool_error *error);
// Reads a number of 1, 2, 4 or 8 bytes out of the structure at va.
TOOL_MUST_CHECK enum tool_status field_read(const struct kernel *kernel, const struct kernel_field *field,
                                            uint64_t va, uint64_t *value, struct tool_error *error);
TOOL_MUST_CHECK enum tool_status symbol_find(const struct kernel *kernel, const char *name, uint64_t *va,
                                             struct tool_error *error);

// A walk along a list of the kernel's (struct list_head), which ends whatever the pointers say.
struct kernel_list {
    const struct kernel *kernel;
    const char *what; // for errors
    uint64_t head, at;
    uint64_t mark; // a node passed earlier: met again, the list runs in a circle
    uint32_t steps, next_mark, limit;
};
// Whether the list at head is known to have no nodes.
bool list_is_empty(const struct kernel *kernel, uint64_t head);
// limit: nodes; at most 2^30.
void list_begin(const struct kernel *kernel, const char *what, uint64_t head, uint32_t limit,
                struct kernel_list *list);
// The next node; false: the list is at its end (*status is TOOL_OK), or *status says why it cannot be
// followed.
bool list_next(struct kernel_list *list, uint64_t *node, enum tool_status *status, struct tool_error *error);

// An array that grows up to a limit.
struct kernel_array {
    void *at;
    size_t count, capacity;
};
// Room for one more element of `size` bytes, zeroed, or NULL.
void *array_add(struct kernel_array *array, size_t size);

// What can be read is read although something else cannot. The error that is reported is the first one: when
// `status`, until now, is TOOL_OK, `next` and its text become it.
enum tool_status first_error(enum tool_status status, enum tool_status next, const struct tool_error *text,
                             struct tool_error *error);

// ---- kernel_units.c --------------------------------------------------------------------------------------
// Reads the units of one driver.
#define KERNEL_UNIT_FIELDS 10u
struct kernel_reader {
    const struct kernel *k;
    struct kernel_field field[KERNEL_UNIT_FIELDS];
    bool choice;             // begin()'s own
    enum tool_status status; // of this unit: the first thing that went wrong
    struct tool_error error;
};
// A driver keeps its units in a list.
struct kernel_driver {
    const char *symbol, *what; // the list; "the list SYMBOL", for errors
    enum dam_iommu_kind kind;
    // Members that are read; number 0 is the list's node in the unit's structure. A kernel may lack those
    // from `needed` on: their size is then 0.
    const struct kernel_field *fields;
    unsigned count, needed;
    // What there is to know before the first unit. May be NULL.
    enum tool_status (*begin)(struct kernel_reader *r, struct tool_error *error);
    // Reads the unit whose structure is at va. false: nothing of it can be read.
    bool (*unit)(struct kernel_reader *r, uint64_t va, struct kernel_unit *u);
};
// A member of the structure at va; 0 also for one that this kernel lacks, and after an error of this unit.
uint64_t reader_get(struct kernel_reader *r, unsigned field, uint64_t va);
// Adds the driver's units. *there: the kernel has this driver. Units that cannot be read at all are left out:
// TOOL_BAD_INPUT, beside those that can.
TOOL_MUST_CHECK enum tool_status driver_units(const struct kernel *kernel, const struct kernel_driver *driver,
                                              struct kernel_array *units, bool *there,
                                              struct tool_error *error);

// ---- kernel_list.c
// Copies the string at va, up to size - 1 bytes; false: it cannot be read.
bool kernel_string(const struct kernel *kernel, uint64_t va, char *out, size_t size);

#endif
