/*
 * What of the library the harness uses, once it has it: 1 when struct dfb_msg or
 * dfb_producer_config has the field.  What dfb-ctl can do is asked at run time (bus.c).
 */
#ifndef CRASH_FEATURES_H
#define CRASH_FEATURES_H

#define HAS_MAYBE 1 /* dfb_msg.possible_duplicate, dfb_producer_config.failover_ms */
#define HAS_DUE 1   /* dfb_msg.due_ms: topic "later" */
#define HAS_ONCE 1  /* dfb_producer_config.once: topic "once" */

#endif
