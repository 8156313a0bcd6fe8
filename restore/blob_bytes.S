/* The restorer blob, as bytes in our read-only data. */
	.section .rodata
	.globl blob_bytes, blob_bytes_end
	.balign 16
blob_bytes:
	.incbin "blob.bin"
blob_bytes_end:
	.section .note.GNU-stack, "", @progbits
