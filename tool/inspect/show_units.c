// SPDX-License-Identifier: MIT
#include <inttypes.h>
#include <stdio.h>

#include "inspect/kind.h"
#include "inspect/overview.h"
#include "inspect/show.h"

const char *origin_text(enum inspect_origin origin)
{
    switch (origin) {
    case ORIGIN_NOTE:
        return "our note";
    case ORIGIN_COMMAND:
        return "the command line";
    case ORIGIN_KERNEL:
        return "the dead kernel";
    case ORIGIN_GUESS:
        break;
    }
    return "a guess";
}

static const char *origin_word(enum inspect_origin origin)
{
    static const char *const words[] = {
        [ORIGIN_NOTE] = "note",
        [ORIGIN_COMMAND] = "command line",
        [ORIGIN_KERNEL] = "kernel",
        [ORIGIN_GUESS] = "guess",
    };
    return words[origin];
}

// Requesters of a unit whose entry was read, sound or not; of units with one table: those of the table.
static unsigned long requesters_of(const struct inspection *in, const struct inspect_unit *unit)
{
    const struct inspect_unit *leader = &in->units[unit->leader];
    unsigned long count = 0;
    for (size_t i = 0; i < in->requester_count; i++)
        if (in->requesters[i].unit == leader && in->requesters[i].words != 0)
            count += in->requesters[i].span;
    return count;
}

static void add_table(struct text_table *table, const struct inspect_unit *u)
{
    char size[TEXT_SIZE] = "";
    bool told = u->table_size > DAM_PAGE_SIZE;
    if (told)
        text_size(u->table_size, size);
    text_cell(table, u->readable ? TEXT_PLAIN : TEXT_BAD, "%" PRIx64 "%s%s%s", u->root.v, told ? " of " : "",
              size, u->readable ? "" : " (cannot be read)");
}

static void add_row(struct text_table *table, const struct inspection *in, const struct inspect_unit *u)
{
    bool off = requester_unit_off(u), unknown = !off && !u->translating;
    text_cell(table, TEXT_PLAIN, "%s", u->name);
    if (u->base)
        text_cell(table, TEXT_PLAIN, "%" PRIx64, u->base);
    else
        text_cell(table, TEXT_FAINT, "unknown");
    text_cell(table, TEXT_PLAIN, "%04x", u->segment);
    text_cell(table, TEXT_PLAIN, "%s", u->kind->name);
    text_cell(table, off ? TEXT_FAINT : TEXT_PLAIN, "%s", off ? "off" : u->mode);
    if (off)
        text_cell(table, TEXT_FAINT, "-");
    else if (unknown)
        text_cell(table, TEXT_BAD, "unknown");
    else
        add_table(table, u);
    text_cell(table, TEXT_PLAIN, "%lu", requesters_of(in, u));
    text_cell(table, u->origin == ORIGIN_GUESS ? TEXT_WARN : TEXT_PLAIN, "%s", origin_text(u->origin));
}

bool units_print(const struct inspection *in)
{
    static const char *const heads[] = {"UNIT", "REGISTERS", "SEGMENT",    "KIND",
                                        "MODE", "TABLE",     "REQUESTERS", "KNOWN FROM"};
    struct text_table table;
    if (in->unit_count == 0) {
        printf("no IOMMU units\n");
        return true;
    }
    text_table_begin(&table, 8, heads, "lrlllrrl");
    for (size_t i = 0; i < in->unit_count; i++)
        add_row(&table, in, &in->units[i]);
    bool printed = text_table_print(&table, "");
    if (in->kernel != NULL && in->kernel_problem[0] != '\0')
        text_print(TEXT_WARN, "The dead kernel does not tell all: %s.\n", in->kernel_problem);
    return printed;
}

static struct json_object *unit_json(const struct inspection *in, const struct inspect_unit *u)
{
    struct json_object *o = json_object_new_object();
    json_put_text(o, "name", u->name);
    json_put_number(o, "index", u->index);
    json_put_text(o, "kind", u->kind->name);
    json_put_number(o, "segment", u->segment);
    json_put_text(o, "known_from", origin_word(u->origin));
    json_put_bool(o, "translating", u->translating);
    json_put_text(o, "mode", u->mode);
    json_put_hex(o, "root", u->root.v);
    json_put_number(o, "table_size", u->table_size);
    json_put_bool(o, "root_read", u->readable);
    if (u->leader != u->index)
        json_put_text(o, "table_of", in->units[u->leader].name);
    json_put_number(o, "requesters", requesters_of(in, u));
    json_put_number(o, "host_address_width", u->host_address_width);
    if (u->base)
        json_put_hex(o, "registers", u->base);
    u->kind->put_registers(u, o);
    return o;
}

void units_json(struct json_out *out, const struct inspection *in)
{
    json_out_list(out, "units");
    for (size_t i = 0; i < in->unit_count; i++)
        json_out_value(out, NULL, unit_json(in, &in->units[i]));
    json_out_end(out);
}

static int run(struct verb_call *call)
{
    if (!verb_no_arguments(call))
        return INSPECT_USAGE;
    return overview_show(call, false, units_json, units_print);
}

const struct verb verb_units = {
    .name = "units",
    .arguments = "",
    .summary = "List the IOMMU units and where their tables are",
    .run = run,
};
