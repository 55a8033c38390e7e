/*
 * Where the guest's arithmetic flags are while a translation is compiled, and what
 * makes them again. (flags.c; docs/how-it-works.md)
 */
#ifndef TRANSLATOR_FLAGS_H
#define TRANSLATOR_FLAGS_H

#include <stdbool.h>
#include <stdint.h>

struct compile;
struct row_facts;

/* What host flags lack against our definition of the guest's, where the manual
 * leaves them undefined. */
enum flags_fix {
    FIX_NONE,
    FIX_AF,     /* AF is to be 0 */
    FIX_AF_OF,  /* AF and OF are to be 0 */
    FIX_LEFT,   /* AF 0, OF = SF xor CF */
    FIX_PRODUCT /* AF 0; SF, ZF, PF of register `a` */
};

/* How flags can be computed again by code that runs before their operands are
 * overwritten. */
enum recipe {
    RECIPE_NONE,
    RECIPE_COMPARE,  /* a cmp b */
    RECIPE_TEST,     /* a test b */
    RECIPE_RESULT,   /* of AND, OR, XOR: a test a */
    RECIPE_ADDED,    /* a is the sum of something and b */
    RECIPE_SUBTRACTED,
    RECIPE_INCREMENTED, /* a was incremented; CF is in `carry` */
    RECIPE_DECREMENTED,
    RECIPE_SHIFTED,  /* `operand` was shifted as opcode extension `op` says by b */
    RECIPE_NEGATED,  /* a is 0 - something */
    RECIPE_MULTIPLIED, /* `operand` by b */
    RECIPE_ZERO,     /* as after XOR of a register with itself */
};

/* SOURCE_OPERAND: translated.operand. SOURCE_KEPT: translated.kept, where the
 * register's value went before it was overwritten. */
enum source { SOURCE_REGISTER, SOURCE_CONSTANT, SOURCE_OPERAND, SOURCE_KEPT };

/* Where the guest's arithmetic flags are. Several may hold at once; none: they
 * are dead. */
struct flags_state {
    bool live;      /* in the host's flags, but for `fix` */
    bool home;      /* in translated.flags */
    bool deferred;  /* there, or to be made out of memory as translated.flags_fixup says */
    uint8_t fix;    /* enum flags_fix, of the live ones and of those the recipe makes */
    uint8_t recipe; /* enum recipe */
    uint8_t width;
    uint8_t a_source, a; /* guest register; SOURCE_KEPT: number in translated.kept */
    uint8_t b_source, b;
    uint8_t op;
    uint8_t product;     /* FIX_PRODUCT: guest register with the low half */
    int32_t constant;
    uint8_t units;       /* of a jump: what is in the host's registers there (UNIT_*) */
    bool waits;          /* for the next instruction only; SCRATCH has what translated.operand is to have */
    uint8_t unused[2];
};

/* Beside the flags, what a jump's target may rely on if it is made for that jump. */
#define UNIT_VECTORS 1u
#define UNIT_WIDE 2u
#define UNIT_X87 4u

/* What a translation does with the flags that it finds. */
enum flags_demand {
    FLAGS_UNSEEN, /* sets all before anyone looks */
    FLAGS_SEEN,   /* a fault, a handler or the next translation may have to see them */
    FLAGS_READ    /* an instruction reads them, or sets only some */
};

/* Fills what there is of each row. */
void flags_learn(struct row_facts *rows);
/* Fills `need` and `flags_use`, and says what the translation does. */
enum flags_demand flags_analyse(struct compile *c);

/* flags_prepare and flags_overwritten (compile.h), where there is something to do. */
void flags_keep(struct compile *c, unsigned written, bool clobbers);
void flags_void_recipe(struct compile *c, unsigned written);
/* Whether nobody but the instruction behind the current one looks at the flags that this one sets, and finds them
 * in the host's; of a branch: whoever does not go where it jumps to. */
bool flags_for_next_only(const struct compile *c);
/* The host's flags were used for something else. */
void flags_clobbered(struct compile *c);
/* All six are in the host's flags now and nowhere else. */
void flags_set(struct compile *c, enum flags_fix fix);
/* Makes them right in the host's flags (as far as `mask` asks) or at home. Both
 * use the scratch registers; flags_save spoils the host's flags unless
 * fix is FIX_NONE. */
void flags_load(struct compile *c, unsigned mask);
void flags_save(struct compile *c, struct flags_state *flags);
/* Has the recipe use memory only, so that registers may change unseen; saves the
 * flags if there is none. */
void flags_defer(struct compile *c);
/* Whether the recipe uses memory only. */
bool flags_in_memory(const struct flags_state *flags);
/* CF alone into the host's flags; the others become undefined. */
void flags_load_carry(struct compile *c);

#endif
