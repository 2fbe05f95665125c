# operations: a call from its request to its answer, what it is given and what it gives
libdaemon_la_SOURCES += \
	%reldir%/content.c \
	%reldir%/content.h \
	%reldir%/idempotency.c \
	%reldir%/idempotency.h \
	%reldir%/mailboxes.c \
	%reldir%/op.c \
	%reldir%/op.h \
	%reldir%/op_answer.c \
	%reldir%/op_core.h \
	%reldir%/op_exchange.c \
	%reldir%/op_input.c \
	%reldir%/op_note.c \
	%reldir%/op_pipe.c \
	%reldir%/op_session.c
