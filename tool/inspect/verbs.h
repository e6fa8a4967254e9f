// SPDX-License-Identifier: MIT
// Verbs of `cofferdam inspect`: what each of them is, and what they share. One file a verb; verbs.c lists
// them.
#ifndef TOOL_INSPECT_VERBS_H
#define TOOL_INSPECT_VERBS_H

#include "cli.h"
#include "inspect/model.h"

// Exit statuses of inspect, which are not those of the other commands: cofferdam(1).
enum inspect_status {
    INSPECT_OK = 0,
    INSPECT_FINDINGS = 1, // something is odd; for `diff`: there are differences
    INSPECT_USAGE = 2,
    INSPECT_BAD_INPUT = 3,
    INSPECT_INCOMPLETE = 4, // the dump lacks pages that the answer depends on; wins over findings
    INSPECT_SYSTEM = 5,     // the output cannot be written, or memory ran out
    // 130, 143: interrupted
};

// What shared options say about one dump.
struct verb_source {
    struct inspect_options options;
    struct inspect_given *given;
    struct memory_extent *extents;
    size_t given_count, extent_count;
};

struct verb_call {
    const struct tool_command *self; // for messages: cli_error() and its like
    const struct verb *verb;
    const char *path; // of the dump
    struct verb_source source;
    struct verb_source other; // of a verb with two dumps: the options behind its name, for the second one
    bool json;
    int argc; // of the verb: argv[0] is its name, argv[argc] is NULL; shared options are taken out
    char **argv;
};

struct verb {
    const char *name;
    const char *arguments; // for the usage line; "" when it takes none
    const char *summary;   // one line, no full stop
    const char *help;      // options of its own, a line each; NULL: none
    bool two_dumps;
    // Checks its arguments before it opens anything. Prints its own errors; returns the exit status.
    int (*run)(struct verb_call *call);
};

extern const struct verb *const inspect_verbs[]; // ends with NULL (verbs.c)
extern const struct verb verb_units, verb_devices;
extern const struct verb verb_walk, verb_ranges, verb_translate, verb_reach, verb_findings, verb_diff;
extern const struct verb verb_report;

// No argument but the verb's own name may be left. false: a message was printed, exit with INSPECT_USAGE.
bool verb_no_arguments(const struct verb_call *call);
// Prints one line about a wrong use of the verb, and how to get help. Returns INSPECT_USAGE.
int verb_usage(const struct verb_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Opens the dump of the call, or with verb_open_other() the one at path with the options of `other`.
// INSPECT_OK, or the exit status; a message was printed then. Free with inspect_close() in any case.
int verb_open(const struct verb_call *call, struct inspection *out);
int verb_open_other(const struct verb_call *call, const char *path, struct inspection *out);
// The exit status of an error of the model (DAM_E_STATE: interrupted; DAM_E_NOMEM); a message was printed.
int verb_failed(const struct verb_call *call, dam_err err);
// Flushes the output and returns the exit status that the inspection asks for: findings of severity warn or
// error, what is not in the dump, output that failed.
int verb_finish(const struct verb_call *call, const struct inspection *inspection);
// The same for a verb with an opinion of its own: something odd was found, or the answer is incomplete.
int verb_finish_with(const struct verb_call *call, bool odd, bool incomplete);

#endif
