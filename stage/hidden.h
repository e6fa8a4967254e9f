// SPDX-License-Identifier: MIT
// Included before everything in the stage's build: nothing is ever found outside the image, so that no
// compiler goes through a global offset table, which would have to be relocated.
#ifndef __ASSEMBLER__
#pragma GCC visibility push(hidden)
#endif
