// SPDX-License-Identifier: MIT
// Where the tables are: from Cofferdam's note, else from the command line, else from the dead kernel, else
// from a scan, which is a guess.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/kind.h"
#include "inspect/model_kernel.h"

// What follows from its registers.
static void complete(const struct inspection *in, struct inspect_unit *u)
{
    u->host_address_width = in->own->host_address_width;
    u->encrypt = in->own->encrypt;
    u->kind->complete(u);
    if (!u->has_registers && !u->translating)
        u->mode = "unknown";
}

// Adds a unit with what is known of it; the rest follows. false: no memory, or too many.
static bool add_unit(struct inspection *in, const struct inspect_unit *unit)
{
    if (in->unit_count == MAX_UNITS ||
        !inspect_grow((void **)&in->units, in->unit_count, &in->own->unit_capacity, sizeof *in->units))
        return false;
    struct inspect_unit *u = &in->units[in->unit_count];
    *u = *unit;
    u->index = (uint16_t)in->unit_count++;
    complete(in, u);
    if (u->name[0] == '\0')
        snprintf(u->name, sizeof u->name, "unit %u", u->index);
    return true;
}

// Adds one of which nothing but its tables is known, unless somebody told of them already.
static bool add_tables(struct inspection *in, struct inspect_unit *unit)
{
    unit->translating = true;
    complete(in, unit);
    for (size_t i = 0; i < in->unit_count; i++)
        if (in->units[i].translating && in->units[i].kind == unit->kind &&
            in->units[i].root.v == unit->root.v)
            return true;
    return add_unit(in, unit);
}

static enum tool_status no_memory(struct tool_error *error)
{
    return tool_fail(error, TOOL_SYSTEM, "no memory for the units, or more than %u of them", MAX_UNITS);
}

// ---- the note --------------------------------------------------------------------------------------------
static uint8_t width_of(const struct note *note)
{
    for (size_t i = 0; i < note->acpi_table_count; i++) {
        const struct note_section *s = &note->acpi_tables[i];
        for (size_t k = 0; k < INSPECT_KINDS; k++) {
            uint8_t width = inspect_kinds[k]->width(s->bytes, s->count);
            if (width >= 32 && width <= INSPECT_WIDEST)
                return width;
        }
    }
    return INSPECT_WIDEST;
}

static void keep_out(struct inspection *in, uint64_t start, uint64_t end)
{
    // A set that is full says less than it could; nothing else goes wrong.
    if (dam_ranges_add(&in->own->keep_out, start, end))
        return;
}

static enum tool_status units_of_note(struct inspection *in, struct tool_error *error)
{
    for (uint32_t i = 0; i < in->note.units.count; i++) {
        struct dam_note_unit n;
        note_unit_at(&in->note, i, &n);
        struct inspect_unit unit = {
            .segment = n.segment,
            .origin = ORIGIN_NOTE,
            .kind = inspect_kind_of(n.kind),
            .base = n.register_base,
            .registers = n.before,
            .has_registers = n.status != DAM_UNIT_ABSENT,
            .cap = n.cap,
            .ecap = n.ecap,
        };
        if (unit.kind == NULL) { // of a later Cofferdam
            in->incomplete = true;
            continue;
        }
        unit.translating = unit.has_registers && unit.kind->translates(&unit);
        if (!add_unit(in, &unit))
            return no_memory(error);
    }
    for (uint32_t i = 0; i < in->note.keep_out.count; i++) {
        struct dam_note_range r;
        note_range_at(&in->note, i, &r);
        keep_out(in, r.start, r.end);
    }
    return TOOL_OK;
}

static void read_note(struct inspection *in, struct tool_error *problem)
{
    size_t size;
    const uint8_t *bytes = memory_note(in->memory, &size);
    if (bytes == NULL)
        tool_fail(problem, TOOL_NO_NOTE, "the dump has no note of ours");
    else
        in->has_note = note_read(bytes, size, &in->note, problem) == TOOL_OK;
    if (in->has_note)
        in->own->host_address_width = width_of(&in->note);
}

// ---- the command line ------------------------------------------------------------------------------------
static enum tool_status units_of_command(struct inspection *in, const struct inspect_options *options,
                                         struct tool_error *error)
{
    for (size_t i = 0; i < options->given_count; i++) {
        const struct inspect_given *g = &options->given[i];
        struct inspect_unit unit = {.origin = ORIGIN_COMMAND, .kind = g->kind, .encrypt = in->own->encrypt};
        enum tool_status status = g->kind->given(in, g->text, &unit, error);
        if (status != TOOL_OK)
            return status;
        if (!add_tables(in, &unit))
            return no_memory(error);
    }
    return TOOL_OK;
}

// ---- the dead kernel -------------------------------------------------------------------------------------
static enum tool_status units_of_kernel(struct inspection *in, const struct kernel_unit *list, size_t count,
                                        struct tool_error *error)
{
    for (size_t i = 0; i < count; i++) {
        const struct kernel_unit *k = &list[i];
        // Of one that is not known, nothing else is: not even whether it translates.
        struct inspect_unit unit = {
            .segment = k->segment,
            .origin = ORIGIN_KERNEL,
            .kind = inspect_kind_of(k->kind),
            .base = k->register_base,
            .registers = k->registers,
            .has_registers = k->known,
            .cap = k->cap,
            .ecap = k->ecap,
        };
        unit.translating = k->has_root && unit.kind->translates(&unit);
        snprintf(unit.name, sizeof unit.name, "%.15s", k->name);
        if (!add_unit(in, &unit))
            return no_memory(error);
    }
    return TOOL_OK;
}

// Names of the units that others told of, by their registers.
static void name_units(struct inspection *in, const struct kernel_unit *list, size_t count)
{
    for (size_t i = 0; i < in->unit_count; i++)
        for (size_t k = 0; k < count; k++)
            if (in->units[i].base && in->units[i].base == list[k].register_base && list[k].name[0])
                snprintf(in->units[i].name, sizeof in->units[i].name, "%.15s", list[k].name);
}

// What it cannot tell is no reason to give up, but the answer is then incomplete if nobody else tells it.
static enum tool_status ask_kernel(struct inspection *in, bool wanted, bool *told, struct tool_error *error)
{
    struct kernel_unit *list = NULL;
    size_t count = 0;
    struct tool_error problem;
    inspect_kernel_memory(in);
    in->own->encrypt = kernel_sme_mask(in->memory, in->kernel);
    for (size_t i = 0; i < in->unit_count; i++)
        complete(in, &in->units[i]);
    enum tool_status status = kernel_units(in->kernel, &list, &count, &problem);
    size_t known = 0;
    for (size_t i = 0; i < count; i++)
        known += list[i].known;
    if (status != TOOL_OK) {
        snprintf(in->kernel_problem, sizeof in->kernel_problem, "%s", problem.text);
        in->incomplete |= wanted && count;
    }
    *told |= known == count && (status == TOOL_OK || count);
    status = TOOL_OK;
    if (wanted)
        status = units_of_kernel(in, list, count, error);
    else
        name_units(in, list, count);
    free(list);
    return status;
}

// ---- a guess ---------------------------------------------------------------------------------------------
static enum tool_status units_of_scan(struct inspection *in, struct tool_error *error)
{
    struct scan_result found;
    const struct dam_ranges crash = {in->crash, in->crash_count, in->crash_count};
    dam_err err = scan_roots(in->memory, &crash, &found);
    if (err == DAM_E_STATE)
        return tool_fail(error, TOOL_SYSTEM, "interrupted");
    if (err)
        return no_memory(error);
    in->incomplete |= found.more || found.gave_up;
    for (size_t i = 0; i < found.count; i++) {
        const struct scan_root *r = &found.roots[i];
        if (i > 0 && !r->strong)
            break; // well-formed at best: the first may be all there is, the others are noise
        struct inspect_unit unit = {.origin = ORIGIN_GUESS, .kind = r->kind};
        unit.kind->guessed(r, &unit);
        if (!add_tables(in, &unit))
            return no_memory(error);
    }
    return TOOL_OK;
}

// What the capture kernel's memory is, for everybody to see: without the first MiB, which it borrows.
static void copy_crash_regions(struct inspection *in)
{
    const struct dam_ranges *set = &in->own->keep_out;
    for (size_t i = 0; i < set->count && in->crash_count < 4; i++)
        if (set->at[i].end > 0x100000)
            in->crash[in->crash_count++] = set->at[i];
}

// "--vtd-root or --amd-devtab".
static const char *options_text(char out[64])
{
    size_t used = 0;
    for (size_t i = 0; i < INSPECT_KINDS; i++)
        used += (size_t)snprintf(out + used, 64 - used, "%s%s", i ? " or " : "", inspect_kinds[i]->option);
    return out;
}

enum tool_status inspect_find_units(struct inspection *in, const struct inspect_options *options,
                                    struct tool_error *error)
{
    struct tool_error note_problem = {"the note is not asked"};
    enum tool_status status = TOOL_OK;
    bool told = false; // somebody knows, be it that there are none
    in->own->host_address_width = INSPECT_WIDEST;
    in->own->encrypt = kernel_sme_mask(in->memory, NULL);
    if (!options->ignore_note)
        read_note(in, &note_problem);
    if (in->has_note)
        status = units_of_note(in, error);
    told = in->unit_count > 0 || (in->has_note && in->note.summary.stop == DAM_STOP_NO_DMAR);
    if (status == TOOL_OK)
        status = units_of_command(in, options, error);
    told |= options->given_count > 0;
    snprintf(in->kernel_problem, sizeof in->kernel_problem, "it is not asked");
    if (status == TOOL_OK && !options->ignore_kernel && inspect_kernel_open(in))
        status = ask_kernel(in, !told, &told, error);
    copy_crash_regions(in);
    bool scanned = status == TOOL_OK && (options->scan || !told);
    if (scanned)
        status = units_of_scan(in, error);
    char which[64];
    if (status == TOOL_OK && scanned && !told && in->unit_count == 0)
        return tool_fail(error, TOOL_BAD_INPUT,
                         "where the IOMMU's tables are is not known: %s; the dead kernel: %s; a scan found "
                         "nothing that looks like them (%s says it)",
                         note_problem.text, in->kernel_problem, options_text(which));
    return status;
}
