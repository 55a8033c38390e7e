/*
 * Paging must behave as if every access walked the tables, whatever a TLB
 * holds: here page tables change all the time, mostly without INVLPG, and
 * after each change the guest walks them itself, says what an access must
 * give, does it, and compares: data, fault, error code, Accessed and Dirty
 * bits of each level. Tables are shared between levels, reached by aliases
 * of themselves, used as data and become tables again.
 */
    .equ WITH_32, 1
    .include "tests/guest/lib.inc"

    .equ POOL, 0x180000         /* 8 pages that begin as tables */
    .equ DATA, 0x200000         /* 16 pages that begin as data */
    .equ OTHER_PML4, 0x178000
    .equ REGION, 0x8000000000   /* PML4[1] */
    .equ ROUNDS, 12000

    .equ seed, 0x170000
    .equ walk_count, 0x170010
    .equ walk_address, 0x170020 /* physical, of the entries of a walk */
    .equ walk_value, 0x170040
    .equ records32, 0x170100    /* what the 32-bit part saw */

/* ---- 32-bit paging, with and without PAE ------------------------------------ */

    .equ PD32, 0x140000
    .equ PT32, 0x141000
    .equ PDPT_PAE, 0x142000
    .equ PD_PAE, 0x143000       /* four */
    .equ PT_PAE, 0x147000
    .equ FRAME1, 0x150000
    .equ FRAME2, 0x151000

    .code32
/* Appends EAX. */
note32:
    movl records32, %edx
    movl %eax, records32 + 4(, %edx, 4)
    incl records32
    ret

.macro note value
    movl \value, %eax
    call note32
.endm

main32:
    movl $0x11111111, FRAME1
    movl $0x22222222, FRAME2
    movl $0x33333333, 0x800000

    /* Non-PAE: the first 4 MiB by one large page, the second by 4 KiB pages. */
    movl $0x83, PD32
    movl $(PT32 + 3), PD32 + 4
    movl $(FRAME1 + 3), PT32 + 4
    movl %cr4, %eax
    orl $0x10, %eax
    movl %eax, %cr4
    movl $PD32, %eax
    movl %eax, %cr3
    movl %cr0, %eax
    orl $0x80010000, %eax
    movl %eax, %cr0
    note 0x401000
    note PT32+4
    note PD32+4
    movl $(FRAME2 + 3), PT32 + 4        /* no flush */
    note 0x401000
    movl $5, 0x401000
    note PT32+4
    andl $~0x60, PT32 + 4
    incl 0x401000
    note PT32+4
    note FRAME2
    movl $0x800083, PD32 + 8            /* a large page appears */
    note 0x800000
    note PD32+8
    movl $(PT32 + 3), PD32 + 8          /* and is split */
    note 0x801000
    note PD32+8
    /* CR4.PSE off: the bit means nothing; the entry names a table. */
    movl $(PT32 + 0x83), PD32 + 12
    movl $0x130000, %edi                /* 4 KiB pages for the first MiBs */
    movl $3, %ecx
1:  movl %ecx, (%edi)
    addl $4, %edi
    addl $0x1000, %ecx
    cmpl $0x131000, %edi
    jb 1b
    movl $(0x130000 + 3), PD32
    movl %cr4, %eax
    xorl $0x10, %eax
    movl %eax, %cr4
    note 0xc01000
    movl %cr0, %eax
    andl $0x7fffffff, %eax
    movl %eax, %cr0

    /* PAE: the four PDPTEs are read when CR3 is loaded, and only then. */
    movl $PDPT_PAE, %edi
    movl $(PD_PAE + 1), %eax
1:  movl %eax, (%edi)
    addl $8, %edi
    addl $0x1000, %eax
    cmpl $(PDPT_PAE + 32), %edi
    jb 1b
    movl $0x83, PD_PAE
    movl $(PT_PAE + 3), PD_PAE + 0x1000
    movl $(FRAME1 + 3), PT_PAE
    movl $(FRAME2 + 3), PT_PAE + 8
    movl %cr4, %eax
    orl $0x20, %eax
    movl %eax, %cr4
    movl $PDPT_PAE, %eax
    movl %eax, %cr3
    movl %cr0, %eax
    orl $0x80000000, %eax
    movl %eax, %cr0
    note 0x40000000
    note PT_PAE
    note PDPT_PAE+8
    andl $~0x20, PT_PAE
    note 0x40001000
    note 0x40000000
    note PT_PAE
    movl $0, PDPT_PAE + 8               /* not seen */
    note 0x40001000
    movl %cr3, %eax
    movl $(PD_PAE + 0x1001), PDPT_PAE + 8
    movl %eax, %cr3
    movl $(FRAME1 + 3), PT_PAE + 8
    note 0x40001000
    movl $0x800083, PD_PAE + 0x1008
    note 0x40200000
    note PD_PAE+0x1008
    movl %cr0, %eax
    andl $0x7fffffff, %eax
    movl %eax, %cr0
    ret

    .code64
show_records32:
    print "32-bit"
    xorl %ebx, %ebx
1:  cmpl records32, %ebx
    jae 2f
    movl records32 + 4(, %rbx, 4), %eax
    print " "
    hex %rax, 8
    incl %ebx
    jmp 1b
2:  print "\n"
    ret

/* ---- random tables ---------------------------------------------------------- */

/* RAX: the next random number (xorshift64). Changes RDX. */
random:
    movq seed, %rax
    movq %rax, %rdx
    shlq $13, %rdx
    xorq %rdx, %rax
    movq %rax, %rdx
    shrq $7, %rdx
    xorq %rdx, %rax
    movq %rax, %rdx
    shlq $17, %rdx
    xorq %rdx, %rax
    movq %rax, seed
    ret

/* RAX: a random entry: present 15 in 16, flags at random, of a page of the
 * pool or of the data; now and then large, reserved or not executable.
 * Changes RCX, RDX. */
random_entry:
    call random
    movq %rax, %rcx
    andl $0x63, %eax                    /* A, D, W, P at random */
    orl $4, %eax
    testl $0xf00, %ecx
    jz 1f
    orl $1, %eax
1:  testl $0x7000, %ecx
    jz 2f
    orl $2, %eax
2:  movq %rcx, %rdx
    shrq $16, %rdx
    andl $7, %edx
    shll $12, %edx
    addl $POOL, %edx
    testl $0x300000, %ecx
    jz 3f
    movq %rcx, %rdx
    shrq $16, %rdx
    andl $15, %edx
    shll $12, %edx
    addl $DATA, %edx
3:  orq %rdx, %rax
    testl $0x3c00000, %ecx
    jnz 4f
    andl $0xfff, %eax                   /* a large page */
    orl $(DATA + 0x80), %eax
4:  btq $40, %rcx
    jnc 5f
    testl $0x7c000000, %ecx
    jnz 5f
    btsq $45, %rax                      /* reserved */
5:  btq $41, %rcx
    jnc 6f
    btsq $63, %rax                      /* not executable: nothing to data */
6:  ret

/* Walks the tables for RDI as data of the supervisor, R12D: it is a write.
 * RAX: the error code it must raise, or -1; R9: the physical address.
 * Changes RCX, RDX, R8, R10, R11. */
walk:
    movl $0, walk_count
    movq %cr3, %r8
    movl $39, %ecx                      /* shift of the level */
    movl $3, %r11d                      /* W of all levels so far */
1:  movq %rdi, %rdx
    shrq %cl, %rdx
    andl $0x1ff, %edx
    leaq (%r8, %rdx, 8), %r10
    movq (%r10), %rdx
    movl walk_count, %eax
    movq %r10, walk_address(, %rax, 8)
    movq %rdx, walk_value(, %rax, 8)
    incl walk_count
    testb $1, %dl
    jz absent
    movabsq $0x000fff0000000000, %rax
    testq %rax, %rdx
    jnz reserved
    andl %edx, %r11d
    testb $0x80, %dl
    jz 2f
    cmpb $39, %cl
    je reserved
    cmpb $12, %cl
    je 2f
    movl $0x3fffe000, %eax
    cmpb $30, %cl
    je 3f
    movl $0x1fe000, %eax
3:  testl %eax, %edx
    jnz reserved
    /* Large. */
    movl $-1, %eax
    shlq %cl, %rax
    andq %rax, %rdx
    notq %rax
    andq %rdi, %rax
    btrq $63, %rdx
    leaq (%rdx, %rax), %r9
    jmp rights
2:  movabsq $0x000ffffffffff000, %r8
    andq %rdx, %r8
    subl $9, %ecx
    cmpl $3, %ecx
    jg 1b
    movq %rdi, %r9
    andl $0xfff, %r9d
    orq %r8, %r9
rights:
    testb $2, %r11b
    jnz 1f
    testl %r12d, %r12d
    jz 1f
    movl $3, %eax
    ret
1:  movq $-1, %rax
    ret
absent:
    leal (%r12, %r12), %eax
    ret
reserved:
    leal 9(%r12, %r12), %eax
    ret

/* Accesses RDI (a qword inside a page) in the way that R13D says and compares
 * with what the walk gives. R12D: 1: write. R14: the value. */
access:
    call walk
    movq %rax, %rbp
    movq $-1, %rbx
    cmpq $-1, %rbp
    jne 1f
    movq (%r9), %rbx                    /* the data, by its own address */
    movl walk_count, %ecx               /* and what the walk does to it when it is an entry */
    movl %r12d, %esi
    shll $6, %esi
    orl $0x20, %esi
2:  cmpq walk_address - 8(, %rcx, 8), %r9
    jne 3f
    orq %rsi, %rbx
3:  movl $0x20, %esi
    loop 2b
1:  catch faulted
    cmpl $1, %r13d
    jb read
    je write
    cmpl $3, %r13d
    jb add
    je exchange
    cmpl $5, %r13d
    jb string
    jmp push_pop
read:
    movq (%rdi), %rax
    movq %rbx, %r14
    cmpq %rbx, %rax
    jne wrong
    jmp succeeded
write:
    movq %r14, (%rdi)
    jmp succeeded
add:
    movq %r14, %rax                     /* the sum is to be R14: an entry */
    subq %rbx, %rax
    lock addq %rax, (%rdi)
    jmp succeeded
exchange:
    movq %r14, %rax
    xchgq %rax, (%rdi)
    jmp succeeded
string:
    movq %r14, %rax
    movl $1, %ecx
    rep stosq
    subq $8, %rdi
    jmp succeeded
push_pop:
    movq %rsp, %rsi
    leaq 8(%rdi), %rsp
    pushq %r14
    movq %rsi, %rsp
succeeded:
    uncatch
    cmpq $-1, %rbp
    jne wrong
    call check_bits
    ret

faulted:
    uncatch
    cmpl $14, trap_vector
    jne wrong
    cmpq %rbp, trap_error
    jne wrong
    cmpq %rdi, trap_cr2
    jne wrong
    /* A walk that faults has set A where it went on, and nothing in the last
     * entry, unless that was one of the others too. */
    movl walk_count, %ecx
    decl %ecx
    movl %ecx, %r10d
    movq walk_address(, %rcx, 8), %r11
    xorl %esi, %esi
1:  decl %ecx
    js 2f
    movq walk_address(, %rcx, 8), %rdx
    movq walk_value(, %rcx, 8), %rax
    orq $0x20, %rax
    cmpq %rax, (%rdx)
    jne wrong
    cmpq %rdx, %r11
    jne 1b
    movl $0x20, %esi
    jmp 1b
2:  movq walk_value(, %r10, 8), %rax
    orq %rsi, %rax
    cmpq %rax, (%r11)
    jne wrong
    leaq 0x100(%rbp), %rax
    call mix
    ret

/* A in all entries, D in the last by a write; the data. What an access has
 * written into the entries of its own walk is not looked at. */
check_bits:
    movl walk_count, %ecx
    decl %ecx
    movl %r12d, %esi
    shll $6, %esi
    orl $0x20, %esi                     /* the bits that the last entry must have gained */
1:  movq walk_address(, %rcx, 8), %rdx
    testl %r12d, %r12d
    jz 2f
    cmpq %rdx, %r9
    je 3f
2:  movq walk_value(, %rcx, 8), %rax
    orq %rsi, %rax
    /* An entry may be that of two levels. */
    movl walk_count, %r10d
    decl %r10d
    cmpq walk_address(, %r10, 8), %rdx
    jne 4f
    movl %r12d, %r11d
    shll $6, %r11d
    orq %r11, %rax
4:  cmpq (%rdx), %rax
    jne wrong
3:  movl $0x20, %esi
    decl %ecx
    jns 1b
    testl %r12d, %r12d
    jz 5f
    cmpq (%r9), %r14
    jne wrong
5:  movq (%r9), %rax
    call mix
    movq walk_value, %rax
    call mix
    ret

wrong:
    print "\nwrong: round "
    decimal %r15
    print " address "
    hex %rdi, 16
    print " kind "
    decimal %r13
    print " expected "
    hex %rbp, 16
    print " read "
    hex %rax, 16
    print " written "
    hex %r14, 16
    print " physical "
    hex %r9, 16
    xorl %ecx, %ecx
1:  print "\n entry "
    movq walk_address(, %rcx, 8), %rdx
    hex %rdx, 8
    print " was "
    hex "walk_value(,%rcx,8)", 16
    print " is "
    hex "(%rdx)", 16
    incl %ecx
    cmpl walk_count, %ecx
    jb 1b
    call show_trap
    exit 1

/* A random address of the region: 2 x 2 x 8 pages, 8 places in each. */
random_address:
    call random
    movabsq $REGION, %rdi
    movl %eax, %edx
    andl $1, %edx
    shlq $30, %rdx
    addq %rdx, %rdi
    movl %eax, %edx
    shrl $1, %edx
    andl $1, %edx
    shlq $21, %rdx
    addq %rdx, %rdi
    movl %eax, %edx
    shrl $2, %edx
    andl $0x3f, %edx
    movl %edx, %ecx
    andl $7, %ecx
    shrl $3, %edx
    shll $12, %ecx
    addq %rcx, %rdi
    leaq (%rdi, %rdx, 8), %rdi
    ret

/* RDI: a random place among the entries in use, by its physical address. */
random_place:
    call random
    movl %eax, %edi
    andl $7, %edi                       /* of 8 entries */
    shll $3, %edi
    shrl $3, %eax
    movl %eax, %edx
    andl $7, %edx
    shll $12, %edx
    leal POOL(%rdi, %rdx), %edi
    testl $0x1f00, %eax
    jnz 1f
    movl $(PML4 + 8), %edi
    testl $0x2000, %eax
    jz 1f
    movl $(OTHER_PML4 + 8), %edi
1:  ret

/* Changes a random entry in a random manner. */
change:
    call random_place
    call random
    movl %eax, %esi
    shrl $8, %eax
    andl $15, %esi
    cmpl $6, %esi
    jb 1f
    cmpl $8, %esi
    jb 2f
    cmpl $10, %esi
    jb 3f
    cmpl $11, %esi
    jb 4f
    cmpl $12, %esi
    jb 5f
    cmpl $13, %esi
    jb 6f
    je 8f
    call random_entry                   /* whole */
    movq %rax, (%rdi)
    ret
1:  andb $0xdf, (%rdi)                  /* A off, by a byte */
    ret
2:  lock btrl $6, (%rdi)                /* D off */
    ret
3:  andl $~0x60, (%rdi)
    ret
4:  xorw $2, (%rdi)                     /* W */
    ret
5:  xorb $1, (%rdi)                     /* P */
    ret
6:  movl %edi, %eax                     /* two entries at once, by one string */
    andl $~0x3f, %edi
    movl $(POOL + 0x40), %esi
    movl $2, %ecx
    cmpl $PML4 + 0x100, %edi
    jb 7f
    cmpl $OTHER_PML4, %edi
    je 7f
    rep movsq
7:  ret
8:  movl $80, %ecx                      /* many writes that drop nothing: is it still a table? */
    andl $~0xfff, %edi
    cmpl $POOL, %edi
    jb 7b
9:  movl %ecx, 0x801(%rdi)              /* P clear */
    loop 9b
    ret

main:
    call show_records32
    movq $0xdf00, TSS + 0x24            /* IST1 for page faults: PUSH is one of the accesses */
    movb $1, IDT + 16 * 14 + 4
    /* The second address space shares all but entry 1. */
    movl $PML4, %esi
    movl $OTHER_PML4, %edi
    movl $512, %ecx
    rep movsq
    movabsq $0x123456789abcdef1, %rax
    movq %rax, seed
    movl $POOL, %edi
1:  call random_entry
    stosq
    cmpl $(POOL + 0x8000), %edi
    jb 1b
    movl $DATA, %edi
1:  call random_entry
    stosq
    cmpl $(DATA + 0x10000), %edi
    jb 1b
    movq $(POOL + 7), PML4 + 8
    movq $(POOL + 0x1007), OTHER_PML4 + 8

    xorl %r15d, %r15d
    xorl %ebx, %ebx
next_round:
    call change
    call random
    testl $0x1f, %eax
    jnz 1f
    movl $PML4, %ecx
    testl $0x20, %eax
    jz 2f
    movl $OTHER_PML4, %ecx
2:  movq %rcx, %cr3
1:  call random_address
    call random
    testl $0x3f00, %eax
    jnz 1f
    invlpg (%rdi)
1:  andl $15, %eax
    movl $0, %r13d                      /* half of them are reads */
    movl $0, %r12d
    cmpl $8, %eax
    jb 2f
    movl $1, %r12d
    movl $1, %r13d
    subl $11, %eax
    jb 2f
    addl %eax, %r13d
2:  call random_entry
    movq %rax, %r14
    call access
    incl %r15d
    cmpl $ROUNDS, %r15d
    jb next_round
    movl $PML4, %eax
    movq %rax, %cr3
    print "random tables: hash "
    hex hash, 16
    print "\n"

    leaq ROM(%rip), %r15                /* for show_trap */
    call test_code
    call test_forgotten
    call plain_tables
    call test_rights
    call test_map
    movb $PASS, %al
    ret

/* ---- code ------------------------------------------------------------------- */

    .equ CODE_PT, 0x182000
    .equ FRAME_A, 0x400000
    .equ FRAME_B, 0x401000

/* Plain tables for the region: PT at CODE_PT. */
plain_tables:
    movl $POOL, %edi
    xorl %eax, %eax
    movl $0x1000, %ecx
    rep stosq
    movq $(POOL + 7), PML4 + 8
    movq $(POOL + 0x1007), POOL
    movq $(CODE_PT + 7), POOL + 0x1000
    movq $(FRAME_A + 3), CODE_PT
    movq $(FRAME_B + 3), CODE_PT + 8
    ret

.macro copy_code to, name
    movl $\name, %esi
    movl $\to, %edi
    movl $(\name\()_end - \name), %ecx
    rep movsb
.endm

.macro show_entries
    print " A "
    hex CODE_PT, 8
    print " B "
    hex CODE_PT+8, 8
    print "\n"
.endm

test_code:
    call plain_tables
    movabsq $REGION, %r14

    /* A of a code page comes back when it is entered again. */
    movb $0xc3, FRAME_A
    call *%r14
    print "code: entered"
    show_entries
    andb $~0x20, CODE_PT
    andb $~0x20, POOL + 0x1000
    print "cleared"
    show_entries
    call *%r14
    print "entered again"
    hex POOL+0x1000, 4
    show_entries

    /* It comes back also while the code runs there. */
    copy_code FRAME_A, clears_own_bit
    call *%r14
    print "own bit cleared"
    show_entries

    /* The frame of the running code is replaced: the next instruction is the
     * new frame's. */
    copy_code FRAME_A, moves_itself
    copy_code FRAME_B, moved
    xorl %ebx, %ebx
    call *%r14
    print "moved to "
    hex %rbx, 4
    show_entries
    movq $(FRAME_A + 3), CODE_PT

    /* The running code's page becomes not executable; absent. */
    copy_code FRAME_A, forbids_itself
    catch 1f
    call *%r14
1:  print "forbidden"
    call show_trap
    btrq $63, CODE_PT
    copy_code FRAME_A, removes_itself
    catch 1f
    call *%r14
1:  print "removed"
    call show_trap
    movq $(FRAME_A + 3), CODE_PT

    /* An instruction across two pages, the second of which changes. */
    movb $0xb8, FRAME_A + 0xffe         /* mov $imm, %eax; ret */
    movb $0x11, FRAME_A + 0xfff
    movl $0xc3000022, FRAME_B
    movl $0xc3000033, FRAME_B + 0x1000
    movl $0xc3000044, FRAME_B + 0x2000
    leaq 0xffe(%r14), %r13
    xorl %ebp, %ebp
2:  movl %ebp, %eax
    shll $12, %eax
    addl $(FRAME_B + 3), %eax
    movl %eax, CODE_PT + 8
    call *%r13
    print "across: "
    hex %rax, 8
    andb $~0x20, CODE_PT
    andb $~0x20, CODE_PT + 8
    call *%r13
    show_entries
    incl %ebp
    cmpl $3, %ebp
    jb 2b
    movl $0, CODE_PT + 8
    catch 3f
    call *%r13
3:  print "second page absent"
    call show_trap
    movl $(FRAME_B + 3), CODE_PT + 8
    andb $~0x20, CODE_PT + 8
    uncatch
    ret

clears_own_bit:
    andb $~0x20, CODE_PT
    nop
    ret
clears_own_bit_end:
moves_itself:
    movb $(FRAME_B >> 8 | 0x10 & 0xff), CODE_PT + 1
    movl $0xaaaa, %ebx
    ret
moves_itself_end:
moved:
    movb $0, CODE_PT + 1
    movl $0xbbbb, %ebx
    ret
moved_end:
forbids_itself:
    orb $0x80, CODE_PT + 7
    nop
    ret
forbids_itself_end:
removes_itself:
    decb CODE_PT
    decb CODE_PT
    decb CODE_PT
    nop
    ret
removes_itself_end:

/* ---- tables that look like data ----------------------------------------------- */

/* Many writes to unused entries of the table EDI: it may be taken for data. */
burst:
    movl $200, %ecx
1:  movl %ecx, 0x801(%rdi)
    loop 1b
    ret

/* Reads the pages at R14 and R13; then, after a burst on the table of `entry`, changes that
 * to `value` and reads again; after another, clears A and reads again. */
.macro forgotten entry, value
    movq (%r14), %rbx
    movq (%r13), %rbp
    movl $(\entry & ~0xfff), %edi
    call burst
    movq $\value, %rax
    xchgq %rax, \entry
    movq (%r14), %rcx
    movq (%r13), %rsi
    movl $(\entry & ~0xfff), %edi
    pushq %rcx
    call burst
    popq %rcx
    andb $~0x20, \entry
    movq (%r14), %rdi
    movq (%r13), %r8
    movq \entry, %rdx
    movq %rax, \entry
    print " "
    hex %rbx, 2
    hex %rbp, 2
    hex %rcx, 2
    hex %rsi, 2
    hex %rdi, 2
    hex %r8, 2
    print "/"
    hex %rdx, 2
.endm

test_forgotten:
    call plain_tables
    movabsq $REGION, %r14
    movq %r14, %r13
    movq $(POOL + 0x3007), POOL + 8     /* a second PDPT entry, and its tables */
    movq $(POOL + 0x4007), POOL + 0x3000
    movq $(FRAME_B + 7), POOL + 0x4000
    movb $0xa1, FRAME_A
    movb $0xb2, FRAME_B
    print "forgotten:"
    forgotten CODE_PT, FRAME_B+7
    forgotten POOL+0x1000, POOL+0x4007
    forgotten POOL, POOL+0x3007
    /* The table is used in two places: the second page through the second, so
     * that both can be cached. */
    movq $(FRAME_B + 7), POOL + 0x4008
    movq $(CODE_PT + 7), POOL + 0x1008
    leaq 0x201000(%r14), %r13
    forgotten CODE_PT, FRAME_B+7
    movq $(POOL + 7), PML4 + 16
    movabsq $0x8000000000, %rax
    leaq 0x1000(%r14, %rax), %r13
    forgotten POOL+0x1000, POOL+0x4007
    forgotten POOL, POOL+0x3007
    movq $0, PML4 + 16
    print "\n"
    ret

/* ---- rights that registers change --------------------------------------------- */

test_rights:
    movabsq $REGION, %r14
    movq $0, FRAME_A
    movq $(FRAME_A + 1), CODE_PT        /* read only */
    catch 1f
    incl (%r14)
1:  print "WP"
    call show_trap
    movq %cr0, %rax
    btrq $16, %rax
    movq %rax, %cr0
    catch 2f
    incl (%r14)
2:  movq %cr0, %rax
    btsq $16, %rax
    movq %rax, %cr0
    print "no WP: "
    hex FRAME_A, 4
    show_entries
    catch 1f
    incl (%r14)
1:  print "WP"
    call show_trap

    /* SMAP: a user page is no data for the supervisor but under AC; SMEP: it is
     * no code. All but the region becomes the supervisor's first. */
    movb $3, PML4
    movq $(FRAME_A + 7), CODE_PT
    movb $0xc3, FRAME_A
    movq %cr4, %rax
    orq $0x300000, %rax
    movq %rax, %cr4
    catch 1f
    movb (%r14), %al
1:  print "SMAP"
    call show_trap
    catch 1f
    call *%r14
1:  print "SMEP"
    call show_trap
    catch 1f
    stac
    movb (%r14), %al
    clac
    print "AC: "
    hex %rax, 2
    print "\n"
    movb %al, 1(%r14)
1:  print "SMAP"
    call show_trap
    movq %cr4, %rax
    andq $~0x300000, %rax
    movq %rax, %cr4
    uncatch
    call *%r14
    movb $7, PML4
    ret

/* ---- the memory map ------------------------------------------------------------ */

test_map:
    /* A20: with the gate shut, bit 20 is 0. */
    movl $0x0a0a0a0a, 0x80500
    movl $0x20202020, 0x180500
    movl 0x180500, %ebx
    inb $0x92, %al
    andb $~2, %al
    outb %al, $0x92
    movl 0x180500, %ecx
    movl $0x0b0b0b0b, 0x180504
    orb $2, %al
    outb %al, $0x92
    movl 0x180500, %edx
    movl 0x80504, %esi
    print "A20 "
    hex %rbx, 8
    print " "
    hex %rcx, 8
    print " "
    hex %rdx, 8
    print " "
    hex %rsi, 8

    /* PAM: C0000h..C3FFFh is RAM or not, for reads and for writes. */
    print "\nPAM"
    movl $0x01234567, %ebx
    xorl %ebp, %ebp
1:  movl $0x80000058, %eax
    movw $0xcf8, %dx
    outl %eax, %dx
    movl pam_steps(%rbp), %eax
    movw $0xcfe, %dx
    outb %al, %dx
    movl %ebx, 0xc0100
    addl $0x11111111, %ebx
    print " "
    movl 0xc0100, %eax
    hex %rax, 8
    addl $4, %ebp
    cmpl $(pam_steps_end - pam_steps), %ebp
    jb 1b
    print "\n"
    ret
    .balign 4
pam_steps:
    .long 0, 3, 1, 2, 3, 0, 1, 2, 1
pam_steps_end:
