/*
 * The first bytes of the blob. The tracer sets rip here with rdi = struct blob_plan, rsi = index of the
 * thread, rsp = top of its small stack. The syscall instruction at a known offset serves the tracer for
 * its last remote call, the munmap of the blob itself.
 */
	.section .text.entry, "ax"
	.globl blob_entry
blob_entry:
	jmp	1f			/* two bytes */
	syscall				/* BLOB_SYSCALL_INSN */
	int3
1:	xor	%ebp, %ebp
	call	blob_run
	ud2

/*
 * long blob_clone3(struct clone_args *args, size_t size, struct blob_plan *plan, uint64_t index)
 * The new thread starts on the stack that args name and runs blob_run(plan, index).
 */
	.text
	.globl blob_clone3
	.hidden blob_clone3
blob_clone3:
	mov	%rcx, %r8		/* syscall clobbers rcx and r11 */
	mov	$435, %eax		/* clone3 */
	syscall
	test	%rax, %rax
	jz	1f
	ret
1:	xor	%ebp, %ebp
	mov	%rdx, %rdi
	mov	%r8, %rsi
	call	blob_run
	ud2

	.section .note.GNU-stack, "", @progbits
