/* The catalogue as a file: what import and export are about. */
#ifndef CTL_CATALOG_H
#define CTL_CATALOG_H

struct ctl;
struct dfb_buf;
struct json_t;

/*
 * What sgs has: "services", an object of rows by name, retired ones too; "affinity", an object of
 * lists of rules; "distances".  NULL: reported.
 */
struct json_t *ctl_catalog(struct ctl *);

/* A file ("-": stdin), checked, in the same form but as it is written: see dfb-service(7).  NULL:
 * reported, each error with the name of what is wrong. */
struct json_t *ctl_catalog_read(struct ctl *, const char *file);
struct json_t *ctl_catalog_check(struct ctl *, const char *name, const struct json_t *);

/*
 * What must be done so that sgs has what the file has: a list of objects, to be done one after the
 * other: "verb" and "args" of sgs; "await": the state to wait for, at the end or before what
 * needs it; "commands": a list, how dfb-ctl would do it.
 */
struct json_t *ctl_catalog_plan(const struct json_t *has, const struct json_t *file,
    int prune);

/* The "commands" of a verb with args. */
struct json_t *ctl_catalog_commands(const char *verb, const struct json_t *args);

/* Append a word as a shell reads it, after a blank. */
void ctl_write_word(struct dfb_buf *, const char *word);

#endif
