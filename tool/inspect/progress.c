// SPDX-License-Identifier: MIT
#include "inspect/progress.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define SILENT_US   1000000u // work that is over sooner says nothing
#define INTERVAL_US 200000u
#define MAX_WIDTH   200u

// A process has one standard error and one user.
static volatile sig_atomic_t caught;
static struct {
    bool at_work, always;
    char what[80];
    uint64_t total, began_us, next_us;
    size_t shown; // columns of the line that stands there
} now;

static void on_signal(int number)
{
    caught = number;
}

void progress_catch_signals(void)
{
    // A second signal ends the program at once; reads that one interrupts go on.
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)(SA_RESTART | SA_RESETHAND)};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool progress_interrupted(void)
{
    return caught != 0;
}

int progress_exit_status(void)
{
    return 128 + (int)caught;
}

void progress_always(bool always)
{
    now.always = always;
}

static uint64_t clock_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

void progress_begin(const char *what, uint64_t total)
{
    progress_end();
    size_t n = 0;
    for (; what[n] != '\0' && n < sizeof now.what - 1; n++)
        now.what[n] = what[n] >= 0x20 && what[n] < 0x7F ? what[n] : '?';
    now.what[n] = '\0';
    now.total = total;
    now.began_us = clock_us();
    now.next_us = now.began_us + SILENT_US;
    now.at_work = now.always || isatty(STDERR_FILENO) == 1;
}

static size_t columns(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20)
        return 79;
    return size.ws_col - 1u < MAX_WIDTH ? size.ws_col - 1u : MAX_WIDTH;
}

// Writes the text over the line that stands there, with blanks alone: every terminal can do that.
static void overwrite(const char *text)
{
    size_t width = strlen(text);
    fprintf(stderr, "\r%s%*s", text, (int)(now.shown > width ? now.shown - width : 0), "");
    if (now.shown > width)
        fprintf(stderr, "\r%s", text);
    fflush(stderr);
    now.shown = width;
}

void progress_step(uint64_t done)
{
    if (!now.at_work)
        return;
    uint64_t time = clock_us();
    if (time < now.next_us)
        return;
    now.next_us = time + INTERVAL_US;
    char text[MAX_WIDTH + 1];
    uint64_t seconds = (time - now.began_us) / 1000000u;
    int n;
    if (now.total != 0) {
        double part = done < now.total ? (double)done / (double)now.total : 1;
        n = snprintf(text, sizeof text, "%s: %d%%", now.what, (int)(part * 100));
        if (part > 0.02)
            n += snprintf(text + n, sizeof text - (size_t)n, ", %.0f s left",
                          (double)(time - now.began_us) / 1e6 * (1 - part) / part);
    } else {
        n = snprintf(text, sizeof text, "%s: %" PRIu64 ", %" PRIu64 " s", now.what, done, seconds);
    }
    size_t width = columns();
    if ((size_t)n > width)
        text[width] = '\0';
    overwrite(text);
}

void progress_wipe(void)
{
    if (now.shown != 0)
        overwrite("");
}

void progress_end(void)
{
    progress_wipe();
    now.at_work = false;
}
