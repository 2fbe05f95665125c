# protocols/smtp: the SMTP and LMTP client engine
libprotocols_la_SOURCES += \
	%reldir%/smtp_body.c %reldir%/smtp_body.h \
	%reldir%/smtp_capabilities.c \
	%reldir%/smtp_chunks.c \
	%reldir%/smtp_client.c %reldir%/smtp_client.h \
	%reldir%/smtp_command.c \
	%reldir%/smtp_envelope.c \
	%reldir%/smtp_limits.c \
	%reldir%/smtp_login.c \
	%reldir%/smtp_private.h \
	%reldir%/smtp_reply.c %reldir%/smtp_reply.h \
	%reldir%/smtp_transaction.c
