/* SPDX-License-Identifier: MIT */
/* What every fuzz target defines. With --enable-fuzzing libFuzzer drives it; else replay.c runs the committed inputs. */
#ifndef POSTERN_FUZZ_H
#define POSTERN_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int fuzz_one(const uint8_t *data, size_t size);

#endif
