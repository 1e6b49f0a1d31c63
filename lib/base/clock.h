/* Clocks. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

uint64_t dfb_mono_ns(void); /* since some point in the past, never set back */
uint64_t dfb_mono_ms(void); /* the same in milliseconds, coarse (4 ms) and cheap */
uint64_t dfb_wall_ms(void); /* Unix time, coarse and cheap */

#endif
