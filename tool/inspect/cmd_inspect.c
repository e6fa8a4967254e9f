// SPDX-License-Identifier: MIT
// `cofferdam inspect DUMP VERB …`: the options that all verbs share, wherever they stand, and the way to the
// verb.
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/kind.h"
#include "inspect/overview.h"
#include "inspect/progress.h"
#include "inspect/text.h"
#include "inspect/verbs.h"

#define OPTIONS                                                                                              \
    "      --map START-END=OFFSET\n"                                                                         \
    "                        the dump is a raw image: physical [START, END) lies at OFFSET of it; may be\n"  \
    "                        given several times\n"                                                          \
    "      --no-note         do not believe Cofferdam's note in the dump\n"                                  \
    "      --no-kernel       do not look at the dead kernel's own structures\n"                              \
    "      --scan            look for tables although some are known\n"                                      \
    "      --color WHEN      auto, always or never\n"                                                        \
    "  -h, --help            this text; \"inspect VERB --help\": that of a verb\n"

static void print_options(void)
{
    printf("  -j, --json            as JSON (docs/inspect-json.md)\n");
    for (size_t i = 0; i < INSPECT_KINDS; i++)
        printf("%s", inspect_kinds[i]->option_help);
    printf(OPTIONS);
}

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; inspect_verbs[i] != NULL; i++)
        if (strcmp(inspect_verbs[i]->name, name) == 0)
            return inspect_verbs[i];
    return NULL;
}

static int help(const struct tool_command *self, const struct verb *verb)
{
    if (verb != NULL) {
        printf("Usage: cofferdam inspect DUMP %s%s%s [OPTIONS]\n%s.\n\n%s%s", verb->name,
               verb->arguments[0] != '\0' ? " " : "", verb->arguments, verb->summary,
               verb->help != NULL ? verb->help : "", verb->help != NULL ? "\n" : "");
        print_options();
    } else {
        printf("Usage: cofferdam inspect %s\n%s.\n\nVerbs; without one, units and devices are shown:\n",
               self->arguments, self->summary);
        for (size_t i = 0; inspect_verbs[i] != NULL; i++)
            printf("  %-10s %s\n", inspect_verbs[i]->name, inspect_verbs[i]->summary);
        putchar('\n');
        print_options();
        printf("\nExit status: 0 nothing odd, 1 findings or differences, 2 wrong usage, 3 bad input, "
               "4 incomplete: the\ndump lacks pages, 5 output or memory, 130 or 143 interrupted.\n");
    }
    return cli_finish(self, TOOL_OK) == TOOL_OK ? INSPECT_OK : INSPECT_SYSTEM;
}

// ---- options ---------------------------------------------------------------------------------------------
struct words {
    struct verb_call *call;
    struct verb_source *source; // the options that come are about this dump
    int argc, next;
    char **argv;
};

static bool parse_number(const char **text, char follows, uint64_t *out)
{
    char *end;
    if (!isdigit((unsigned char)**text))
        return false;
    errno = 0;
    *out = strtoull(*text, &end, 0);
    if (errno != 0 || *end != follows)
        return false;
    *text = end + (follows != '\0');
    return true;
}

static bool parse_map(const char *text, struct memory_extent *out)
{
    return parse_number(&text, '-', &out->start) && parse_number(&text, '=', &out->end) &&
           parse_number(&text, '\0', &out->offset) && out->end > out->start &&
           (out->start | out->end | out->offset) % DAM_PAGE_SIZE == 0;
}

static bool take_map(struct words *w, const char *value)
{
    struct verb_source *s = w->source;
    if (!parse_map(value, &s->extents[s->extent_count])) {
        cli_usage_error(w->call->self, "--map %s: START-END=OFFSET is wanted, in bytes, of whole 4-KiB pages",
                        value);
        return false;
    }
    s->extent_count++;
    return true;
}

// Whether the word is the option `name` with a value: behind "=", or the next word. *value: NULL when it is
// missing.
static bool with_value(struct words *w, const char *name, const char **value)
{
    const char *word = w->argv[w->next];
    size_t length = strlen(name);
    if (strncmp(word, name, length) != 0 || (word[length] != '\0' && word[length] != '='))
        return false;
    *value = word[length] == '=' ? word + length + 1 : w->next + 1 < w->argc ? w->argv[++w->next] : NULL;
    if (*value == NULL)
        cli_usage_error(w->call->self, "%s needs an argument", name);
    return true;
}

enum taken { TAKEN, NOT_SHARED, WRONG };

static enum taken take_flag(struct words *w)
{
    const char *word = w->argv[w->next];
    struct inspect_options *o = &w->source->options;
    if (strcmp(word, "--json") == 0 || strcmp(word, "-j") == 0)
        w->call->json = true;
    else if (strcmp(word, "--no-note") == 0)
        o->ignore_note = true;
    else if (strcmp(word, "--no-kernel") == 0)
        o->ignore_kernel = true;
    else if (strcmp(word, "--scan") == 0)
        o->scan = true;
    else
        return NOT_SHARED;
    return TAKEN;
}

static enum taken take_option(struct words *w)
{
    const char *value;
    for (size_t i = 0; i < INSPECT_KINDS; i++) {
        if (!with_value(w, inspect_kinds[i]->option, &value))
            continue;
        if (value == NULL)
            return WRONG;
        w->source->given[w->source->given_count++] = (struct inspect_given){inspect_kinds[i], value};
        return TAKEN;
    }
    if (with_value(w, "--map", &value))
        return value != NULL && take_map(w, value) ? TAKEN : WRONG;
    if (with_value(w, "--color", &value)) {
        if (value == NULL)
            return WRONG;
        if (text_choose_colour(value))
            return TAKEN;
        cli_usage_error(w->call->self, "--color %s: auto, always or never is wanted", value);
        return WRONG;
    }
    return take_flag(w);
}

// A word that is no option of ours: the dump, the verb, or the verb's. false: a message was printed.
static bool take_word(struct words *w)
{
    struct verb_call *call = w->call;
    char *word = w->argv[w->next];
    if (call->verb != NULL) {
        call->argv[call->argc++] = word;
        return true;
    }
    if (word[0] == '-' && word[1] != '\0') {
        cli_usage_error(call->self, "unknown option %s", word);
        return false;
    }
    if (call->path == NULL) {
        call->path = word;
        return true;
    }
    call->verb = find_verb(word);
    if (call->verb == NULL) {
        cli_usage_error(call->self, "there is no verb \"%s\"", word);
        return false;
    }
    call->argv[call->argc++] = word;
    if (call->verb->two_dumps)
        w->source = &call->other;
    return true;
}

static bool take_words(struct words *w)
{
    bool options_end = false;
    for (w->next = 1; w->next < w->argc; w->next++) {
        if (!options_end && strcmp(w->argv[w->next], "--") == 0) {
            options_end = true;
            if (w->call->verb != NULL) // for the verb's own as well
                w->call->argv[w->call->argc++] = w->argv[w->next];
            continue;
        }
        enum taken taken = options_end ? NOT_SHARED : take_option(w);
        if (taken == WRONG || (taken == NOT_SHARED && !take_word(w)))
            return false;
    }
    w->call->argv[w->call->argc] = NULL;
    return true;
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

// The verb that help is wanted for, with a dump before it or without; NULL: for all of it.
static const struct verb *first_verb(int argc, char **argv)
{
    const struct verb *verb = NULL;
    for (int i = 1; i < argc && verb == NULL; i++)
        verb = find_verb(argv[i]);
    return verb;
}

static bool make_source(struct verb_source *source, int argc)
{
    source->given = calloc((size_t)argc, sizeof *source->given);
    source->extents = calloc((size_t)argc, sizeof *source->extents);
    return source->given != NULL && source->extents != NULL;
}

static void free_source(struct verb_source *source)
{
    free(source->given);
    free(source->extents);
}

static int run_call(struct verb_call *call, int argc, char **argv)
{
    struct words words = {.call = call, .source = &call->source, .argc = argc, .argv = argv};
    if (asks_for_help(argc, argv))
        return help(call->self, first_verb(argc, argv));
    if (!take_words(&words))
        return INSPECT_USAGE;
    if (call->path == NULL) {
        cli_usage_error(call->self, "DUMP is missing");
        return INSPECT_USAGE;
    }
    progress_catch_signals();
    return call->verb != NULL ? call->verb->run(call) : overview_run(call);
}

static enum tool_status run(const struct tool_command *self, int argc, char **argv)
{
    struct verb_call call = {.self = self};
    text_choose_colour("auto");
    call.argv = calloc((size_t)argc + 1, sizeof *call.argv);
    int status = INSPECT_SYSTEM;
    if (call.argv == NULL || !make_source(&call.source, argc) || !make_source(&call.other, argc))
        cli_error(self, TOOL_SYSTEM, "no memory");
    else
        status = run_call(&call, argc, argv);
    free_source(&call.source);
    free_source(&call.other);
    free(call.argv);
    return (enum tool_status)status;
}

const struct tool_command command_inspect = {
    .name = "inspect",
    .arguments = "DUMP [VERB [ARGUMENTS]] [OPTIONS]",
    .summary = "Tell which device could touch which memory, from a dump",
    .help = OPTIONS, // and those of the kinds: help()
    .run = run,
};
