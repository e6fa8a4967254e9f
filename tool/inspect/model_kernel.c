// SPDX-License-Identifier: MIT
#include "inspect/model_kernel.h"

#include <stdio.h>
#include <stdlib.h>

#include "inspect/model_own.h"

static int by_function(const void *a, const void *b)
{
    const struct inspect_device *x = a, *y = b;
    if (x->segment != y->segment)
        return x->segment < y->segment ? -1 : 1;
    return x->rid < y->rid ? -1 : x->rid > y->rid;
}

// No devices are no reason to give up: their numbers are known.
static void read_devices(struct inspection *in)
{
    struct kernel_function *list = NULL;
    size_t count = 0;
    struct tool_error problem;
    // With an error come those that could be read.
    in->devices_complete = kernel_functions(in->kernel, &list, &count, &problem) == TOOL_OK;
    if (!in->devices_complete && count == 0) {
        free(list);
        return;
    }
    in->devices = calloc(count + 1, sizeof *in->devices);
    for (size_t i = 0; in->devices != NULL && i < count; i++) {
        struct inspect_device *d = &in->devices[in->device_count++];
        *d = (struct inspect_device){
            .segment = list[i].segment,
            .rid = list[i].rid,
            .known = true,
            .vendor = list[i].vendor,
            .device = list[i].device,
            .class_code = list[i].class_code,
        };
        snprintf(d->driver, sizeof d->driver, "%.31s", list[i].driver);
    }
    free(list);
    if (in->device_count)
        qsort(in->devices, in->device_count, sizeof *in->devices, by_function);
}

bool inspect_kernel_open(struct inspection *in)
{
    struct tool_error problem;
    if (kernel_open(in->memory, &in->kernel, &problem) != TOOL_OK) {
        snprintf(in->kernel_problem, sizeof in->kernel_problem, "%s", problem.text);
        return false;
    }
    in->kernel_problem[0] = '\0';
    read_devices(in);
    return true;
}

static bool knows_any(const struct inspection *in, const struct inspect_requester *r)
{
    for (size_t i = 0; i < in->device_count; i++) {
        const struct inspect_device *d = &in->devices[i];
        if (d->segment == r->unit->segment && d->rid >= r->rid && (uint32_t)(d->rid - r->rid) < r->span)
            return true;
    }
    return false;
}

void inspect_mark_vacant(struct inspection *in)
{
    for (size_t i = 0; in->devices_complete && i < in->requester_count; i++) {
        struct inspect_requester *r = &in->requesters[i];
        r->vacant = (r->flags & DAM_REQ_OTHERS) && !knows_any(in, r);
        if (r->vacant)
            r->tree->requesters -= r->span;
    }
}

void inspect_kernel_memory(struct inspection *in)
{
    struct dam_range reserved[2];
    size_t count = 0;
    struct tool_error problem;
    if (kernel_crash_region(in->kernel, reserved, &count, &problem) != TOOL_OK)
        return;
    // It borrows the first MiB as well.
    if (count && dam_ranges_add(&in->own->keep_out, 0, 0x100000))
        return;
    for (size_t i = 0; i < count && i < 2; i++)
        if (dam_ranges_add(&in->own->keep_out, reserved[i].start, reserved[i].end))
            return;
}
