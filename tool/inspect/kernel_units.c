// SPDX-License-Identifier: MIT
// The IOMMU units of all drivers that the dead kernel had: mostly it has those of all makers, and one of them
// has units.
#include <string.h>

#include "inspect/kernel_parts.h"
#include "inspect/kind.h"

#define UNITS_MOST 1024u // of one driver

uint64_t reader_get(struct kernel_reader *r, unsigned field, uint64_t va)
{
    uint64_t value = 0;
    if (r->status == TOOL_OK && r->field[field].size)
        r->status = field_read(r->k, &r->field[field], va, &value, &r->error);
    return value;
}

static enum tool_status find_members(struct kernel_reader *r, const struct kernel_driver *d,
                                     struct tool_error *error)
{
    memcpy(r->field, d->fields, d->count * sizeof *d->fields);
    enum tool_status status = fields_find(r->k, r->field, d->needed, error);
    for (unsigned i = d->needed; status == TOOL_OK && i < d->count; i++) {
        struct kernel_field *f = &r->field[i];
        if (!kernel_member(r->k, f->structure, f->member, &f->offset, &f->size))
            f->size = 0;
    }
    return status != TOOL_OK || d->begin == NULL ? status : d->begin(r, error);
}

enum tool_status driver_units(const struct kernel *k, const struct kernel_driver *d,
                              struct kernel_array *units, bool *there, struct tool_error *error)
{
    struct kernel_reader r = {.k = k};
    struct kernel_list list;
    struct tool_error list_error;
    enum tool_status list_status;
    uint64_t head, node;
    *there = kernel_symbol(k, d->symbol, &head);
    if (!*there || list_is_empty(k, head)) // of a machine of another maker
        return TOOL_OK;
    enum tool_status status = find_members(&r, d, error);
    if (status != TOOL_OK)
        return status;
    list_begin(k, d->what, head, UNITS_MOST, &list);
    while (list_next(&list, &node, &list_status, &list_error)) {
        struct kernel_unit *u = array_add(units, sizeof *u);
        if (u == NULL) {
            list_status = tool_fail(&list_error, TOOL_SYSTEM, "out of memory");
            break;
        }
        r.status = TOOL_OK;
        u->kind = d->kind;
        if (!d->unit(&r, node - r.field[0].offset, u))
            units->count--;
        status = first_error(status, r.status, &r.error, error);
    }
    return first_error(status, list_status, &list_error, error);
}

enum tool_status kernel_units(const struct kernel *k, struct kernel_unit **out, size_t *count,
                              struct tool_error *error)
{
    struct kernel_array units = {0};
    enum tool_status status = TOOL_OK;
    bool any = false;
    for (size_t i = 0; i < INSPECT_KINDS; i++) {
        struct tool_error one;
        bool driver;
        status = first_error(status, inspect_kinds[i]->kernel_units(k, &units, &driver, &one), &one, error);
        any |= driver;
    }
    *out = units.at;
    *count = units.count;
    return status == TOOL_OK && !any ? tool_fail(error, TOOL_BAD_INPUT, "the kernel has no IOMMU driver")
                                     : status;
}
