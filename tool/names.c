// SPDX-License-Identifier: MIT
#include "names.h"

#include <stddef.h>
#include <string.h>

#include <cofferdam/findings.h>
#include <cofferdam/types.h>

struct name {
    uint32_t value;
    const char *text;
};

static const char *look_up(const struct name *names, size_t count, uint32_t value)
{
    for (size_t i = 0; i < count; i++)
        if (names[i].value == value)
            return names[i].text;
    return "unknown";
}

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct name policies[] = {
#define DAM_X(name, value, word) {value, word},
    DAM_POLICIES(DAM_X)
#undef DAM_X
};

static const struct name phases[] = {
#define DAM_X(name, value, word) {value, word},
    DAM_PHASES(DAM_X)
#undef DAM_X
};

static const struct name stops[] = {
#define DAM_X(name, value, text) {value, text},
    DAM_STOPS(DAM_X)
#undef DAM_X
};

static const struct name findings[] = {
#define DAM_X(name, value, severity, text) {value, text},
    DAM_FINDINGS(DAM_X)
#undef DAM_X
};

static const struct name errors[] = {
#define DAM_X(name, text) {name, text},
    DAM_ERRORS(DAM_X)
#undef DAM_X
};

static const struct name severities[] = {{DAM_INFO, "info"}, {DAM_WARN, "warning"}, {DAM_ERROR, "error"}};

static const struct name unit_statuses[] = {
    {DAM_UNIT_TAKEN, "taken over"},
    {DAM_UNIT_ABSENT, "does not answer"},
    {DAM_UNIT_OFF, "translation off, left alone"},
    {DAM_UNIT_UNSUPPORTED, "not supported, left alone"},
    {DAM_UNIT_BROKEN_ROOT, "root or device table not readable, left alone"},
    {DAM_UNIT_FAILED_BEFORE, "failed, old tables in use"},
    {DAM_UNIT_FAILED_AFTER, "failed after it was led to new tables"},
    {DAM_UNIT_PLANNED, "planned, not committed"},
    {DAM_UNIT_RAISED, "translation turned on, runs on new tables"},
    {DAM_UNIT_LEFT, "could not be planned, left alone"},
};

static const struct name stages[] = {
    {DAM_STAGE_NONE, "none"},
    {DAM_STAGE_FIRST, "first"},
    {DAM_STAGE_SECOND, "second"},
    {DAM_STAGE_NESTED, "nested"},
    {DAM_STAGE_PASSTHROUGH, "pass-through"},
};

static const struct name old_kinds[] = {
    {DAM_OLD_NONE, "nothing"},
    {DAM_OLD_TRANSLATED, "translated"},
    {DAM_OLD_IDENTITY, "passed through"},
    {DAM_OLD_BROKEN, "broken"},
};

const char *name_policy(uint32_t policy)
{
    return look_up(policies, COUNT(policies), policy);
}

const char *name_phase(uint32_t phase)
{
    return look_up(phases, COUNT(phases), phase);
}

const char *name_stop(uint32_t stop)
{
    return look_up(stops, COUNT(stops), stop);
}

const char *name_finding(uint32_t code)
{
    return look_up(findings, COUNT(findings), code);
}

const char *name_severity(uint32_t severity)
{
    return look_up(severities, COUNT(severities), severity);
}

const char *name_error(uint32_t error)
{
    return look_up(errors, COUNT(errors), error);
}

const char *name_unit_status(uint32_t status)
{
    return look_up(unit_statuses, COUNT(unit_statuses), status);
}

const char *name_old_kind(uint32_t kind)
{
    return look_up(old_kinds, COUNT(old_kinds), kind);
}

const char *name_stage(uint32_t stage)
{
    return look_up(stages, COUNT(stages), stage);
}

bool policy_from_word(const char *word, enum dam_policy *policy)
{
    for (size_t i = 0; i < COUNT(policies); i++)
        if (strcmp(policies[i].text, word) == 0) {
            *policy = (enum dam_policy)policies[i].value;
            return true;
        }
    return false;
}
