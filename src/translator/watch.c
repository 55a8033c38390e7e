/* Tells of translations; see cpu/translated.h. */
#include "cpu/translated.h"

#include <stdlib.h>

#include "translator/internal.h"

#define MARKS_MAXIMUM 400

struct watch {
    struct translated_watch to;
    struct translated_mark marks[MARKS_MAXIMUM];
    uint16_t count;
};

int translator_watch(struct translator *t, const struct translated_watch *to)
{
    t->watch = calloc(1, sizeof *t->watch);
    if (!t->watch)
        return -1;
    t->watch->to = *to;
    return 0;
}

void watch_free(struct translator *t)
{
    free(t->watch);
}

void watch_begin(struct translator *t)
{
    if (t->watch)
        t->watch->count = 0;
}

void watch_mark_slow(struct compile *c, enum translated_part part, unsigned number)
{
    struct watch *watch = c->translator->watch;
    if (watch->count == MARKS_MAXIMUM)
        return;
    uint32_t offset = (uint32_t)(c->e.at - c->translation->checked);
    watch->marks[watch->count++] = (struct translated_mark){ offset, (uint16_t)part, (uint16_t)number };
}

void watch_tell(const struct compile *c)
{
    const struct translator *t = c->translator;
    const struct translation *translation = c->translation;
    if (!t->watch)
        return;
    const struct translated_name names[] = {
        { "settle", translator_running(t, t->settle) },
        { "leave", translator_running(t, t->leave_check) }, { "leave_to_link", translator_running(t, t->leave_link) },
        { "leave_entry", translator_running(t, t->leave_entry) },
        { "fallback", translator_running(t, t->fallback) }, { "slow", translator_running(t, t->slow) },
        { "jump", translator_running(t, t->jump) }, { "string", translator_running(t, t->string) },
        { "load_wide_vectors", translator_running(t, t->wide) }, { "slow_load", translator_running(t, t->slow_load) },
        { "load_vectors", translator_running(t, t->vectors) }, { "load_x87", translator_running(t, t->x87) },
        { "open_window", translator_running(t, t->open_window) },
        { "miss", translator_running(t, t->miss) },
    };
    struct translated_insn insns[INSNS_MAXIMUM];
    uint32_t guest_bytes = 0;
    for (unsigned i = 0; i < c->count; i++) {
        insns[i] = (struct translated_insn){ c->insns[i], c->parts[c->part_of[i]].rip };
        guest_bytes += c->insns[i]->length;
    }
    const struct translated_block block = {
        .linear = translation->linear, .rip = translation->rip, .index = translation->index,
        .code_bytes = c->kind->code_bytes, .insn_count = (uint16_t)c->count, .mark_count = t->watch->count,
        .name_count = sizeof names / sizeof *names, .guest_bytes = guest_bytes,
        .bytes = (uint32_t)(c->e.at - translation->checked), .host = translator_running(t, translation->checked),
        .insns = insns, .marks = t->watch->marks, .names = names, .cache = t->run, .cache_end = t->run + t->bytes,
    };
    t->watch->to.block(t->watch->to.context, &block);
}
