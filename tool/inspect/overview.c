// SPDX-License-Identifier: MIT
#include "inspect/overview.h"

#include <stdio.h>

#include "inspect/show.h"

static void print_dump(const struct inspection *in)
{
    const struct memory_about *about = memory_about(in->memory);
    char ram[TEXT_SIZE], held[TEXT_SIZE], release[sizeof about->release * 4];
    printf("%s%s dump", about->flattened ? "flattened " : "", about->format);
    if (about->release[0] != '\0')
        printf(" of Linux %s", text_safe(about->release, release, sizeof release));
    printf(", %s of RAM, of which it holds %s\n", text_size(about->ram, ram), text_size(about->held, held));
    if (in->kernel == NULL)
        printf("the dead kernel tells nothing: %s\n", in->kernel_problem);
    putchar('\n');
}

static void print_end(const struct inspection *in)
{
    unsigned long errors = 0, warnings = 0;
    for (size_t i = 0; i < in->finding_count; i++) {
        unsigned long n = 1ul + in->findings[i].repeats;
        errors += in->findings[i].severity == DAM_ERROR ? n : 0;
        warnings += in->findings[i].severity == DAM_WARN ? n : 0;
    }
    if (errors + warnings)
        printf("\n%lu errors and %lu warnings about these tables: the verb \"findings\" lists them\n", errors,
               warnings);
}

static bool print(const struct inspection *in)
{
    print_dump(in);
    if (!units_print(in))
        return false;
    putchar('\n');
    if (!devices_print(in))
        return false;
    print_end(in);
    return true;
}

int overview_show(const struct verb_call *call, bool audit,
                  void (*json)(struct json_out *out, const struct inspection *inspection),
                  bool (*print_all)(const struct inspection *inspection))
{
    struct inspection in = {0};
    struct json_out out;
    int status = verb_open(call, &in);
    dam_err err = status == INSPECT_OK && audit ? inspect_audit_all(&in) : DAM_OK;
    if (err) {
        status = verb_failed(call, err);
    } else if (status == INSPECT_OK && call->json) {
        show_json_begin(&out, call, &in);
        json(&out, &in);
        show_json_end(&out, in.incomplete);
        status = verb_finish(call, &in);
    } else if (status == INSPECT_OK) {
        status = print_all(&in) ? verb_finish(call, &in) : verb_failed(call, DAM_E_NOMEM);
    }
    inspect_close(&in);
    return status;
}

static void both_json(struct json_out *out, const struct inspection *in)
{
    units_json(out, in);
    devices_json(out, in);
}

int overview_run(struct verb_call *call)
{
    static const struct verb overview = {.name = "overview", .arguments = "", .summary = ""};
    call->verb = &overview;
    return overview_show(call, true, both_json, print);
}
