// SPDX-License-Identifier: MIT
// Says on standard error how far long work has come, and whether the user wants it to end.
#ifndef TOOL_INSPECT_PROGRESS_H
#define TOOL_INSPECT_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

// Ctrl-C (SIGINT) and SIGTERM only set a mark from here on.
void progress_catch_signals(void);
// Whether one of them came. Long work looks here often and ends with DAM_E_STATE.
bool progress_interrupted(void);
// 128 + the signal that came.
int progress_exit_status(void);

// Begins work; nothing is said in its first second, nor when standard error is no terminal unless `always`
// was set by progress_always(). total: 0 when nobody knows it.
void progress_begin(const char *what, uint64_t total);
void progress_step(uint64_t done);
// Makes room for a line of output, which may go to the same terminal; the next step that is due shows the
// line again.
void progress_wipe(void);
// Wipes the line: the work is done.
void progress_end(void);
void progress_always(bool always);

#endif
