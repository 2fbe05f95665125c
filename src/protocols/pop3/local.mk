# protocols/pop3: the POP3 client engine
libprotocols_la_SOURCES += \
	%reldir%/pop3_client.c %reldir%/pop3_client.h \
	%reldir%/pop3_command.c %reldir%/pop3_ids.c \
	%reldir%/pop3_login.c \
	%reldir%/pop3_md5.c \
	%reldir%/pop3_private.h \
	%reldir%/pop3_reply.c
