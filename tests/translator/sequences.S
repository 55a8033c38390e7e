# Small guest sequences whose translations are kept as text (test_golden_code.c).
# A sequence has a slot of 256 bytes: its name in the first 32, then the code.
# RSI and RDI point into data, RCX is 3, RSP at a stack.
    .intel_syntax noprefix
    .section .rodata
    .macro sequence name
    .balign 256
    .ascii "\name"
    .balign 32
    .endm
    .globl sequences, sequences_end
    .balign 256
sequences:
    sequence alu_registers
    add rax, rbx
    sub ecx, edx
    xor r8d, r8d
    and rbp, 0x7f
    hlt
    sequence alu_unpinned
    add r10, rax
    mov r11, r14
    sub r15d, 1
    hlt
    sequence unpinned_again
    lea r15d, [rax + rdx]
    mov rcx, r15
    and r14, rcx
    xor edx, r14d
    mov r10d, r14d
    lea r12, [r10 + r15]
    mov r15w, 5
    add rbx, r15
    hlt
    sequence base_in_memory
    mov rax, [r14]
    add r14, 8
    mov [r14 + rax], rcx
    hlt
    sequence compare_branch
    cmp rax, rbx
    jae 1f
    inc eax
1:  hlt
    sequence compare_memory
    cmp rbx, [rsi] # looked at by the branch only, and where it goes
    je 1f
    add rax, rcx
    cmp dword ptr [rdi], 5 # here by nobody else
    setb dl
    xor eax, eax
1:  hlt
    sequence test_branch
    test eax, eax
    jne 1f
    mov ebx, 5
1:  hlt
    sequence flags_dead
    add eax, 1
    add eax, 2
    add eax, 3
    hlt
    sequence flags_over_load
    cmp eax, ebx
    mov edx, [rsi]
    sete dl
    hlt
    sequence load
    mov rax, [rsi+8]
    hlt
    sequence load_indexed
    mov eax, [rsi+rcx*4+16]
    hlt
    sequence loads_one_base
    mov rax, [rsi]
    mov rbx, [rsi+8]
    mov rdx, [rsi+16]
    hlt
    sequence base_that_moves
    mov rax, [rdi]
    sub rdi, 8
    mov [rdi], rax
    lea rbx, [rdi+32]
    movaps xmm0, [rbx+8]
    movaps [rbx-24], xmm0
    hlt
    sequence loads_about_border
    lea rsi, [rsi+0xff0]
    mov ecx, 9
1:  mov rax, [rsi]
    mov rbx, [rsi+8]
    mov rdx, [rsi+16]
    loop 1b
    hlt
    sequence store
    mov [rdi], rax
    hlt
    sequence store_constant
    mov dword ptr [rdi+4], 7
    hlt
    sequence read_modify_write
    add [rdi], eax
    hlt
    sequence locked
    lock xadd [rdi], eax
    hlt
    sequence byte_registers
    mov al, bh
    movzx edx, al
    add ah, dl
    hlt
    sequence sign_extension
    movsx rax, byte ptr [rsi]
    movsxd rdx, ecx
    cdqe
    hlt
    sequence shifts
    shl eax, 3
    shr rbx, 1
    sar edx, 31
    hlt
    sequence shift_by_cl
    shl eax, cl
    jc 1f
    nop
1:  hlt
    sequence carry_chain
    add rax, [rsi]
    adc rdx, [rsi+8]
    hlt
    sequence multiply
    imul eax, ebx, 100
    mul r9
    hlt
    sequence divide
    xor edx, edx
    mov ecx, 10
    div ecx
    hlt
    sequence push_pop
    push rbp
    mov rbp, rsp
    pop rbp
    hlt
    sequence call_return
    call 1f
    hlt
1:  ret
    sequence jump_indirect
    lea rax, [rip+1f]
    jmp rax
1:  hlt
    sequence loop
1:  add rax, [rsi]
    dec ecx
    jne 1b
    hlt
    sequence loop_in_registers
1:  lea rbx, [rax + rax*4]
    add rax, rbx
    sub edx, 1
    jne 1b
    hlt
    sequence conditional_move
    cmp rax, rbx
    cmovl rax, rbx
    setg dl
    hlt
    sequence lea_forms
    lea rax, [rbx+rdx*8+4]
    lea r9d, [rax-1]
    hlt
    sequence string_copy
    rep movsb
    hlt
    sequence scalar_double
    movsd xmm0, [rsi]
    mulsd xmm0, [rsi+8]
    addsd xmm1, xmm0
    movsd [rdi], xmm1
    hlt
    sequence packed_integer
    movdqu xmm2, [rsi]
    paddd xmm2, xmm3
    pshufd xmm4, xmm2, 0x1b
    movdqu [rdi], xmm4
    hlt
    sequence x87_sum
    fld qword ptr [rsi]
    fadd qword ptr [rsi+8]
    fstp qword ptr [rdi]
    hlt
    sequence handler
    cpuid
    hlt
    sequence window_load
    mov rax, [rsi+rcx*8]
    hlt
    sequence window_group
    add rax, [rsi+8]
    mov [rsi+16], rax
    movaps xmm0, [rdi]
    hlt
    .balign 256
sequences_end:
    .section .note.GNU-stack, "", @progbits
