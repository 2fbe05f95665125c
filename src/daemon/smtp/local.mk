# the smtp.* calls
libdaemon_la_SOURCES += \
	%reldir%/method_smtp.c \
	%reldir%/method_smtp_send.c \
	%reldir%/method_smtp_steps.c \
	%reldir%/smtp_batch.c \
	%reldir%/smtp_batch.h \
	%reldir%/smtp_item.c \
	%reldir%/smtp_item.h \
	%reldir%/smtp_manual.c \
	%reldir%/smtp_manual.h \
	%reldir%/smtp_send.c \
	%reldir%/smtp_send.h \
	%reldir%/smtp_step.c \
	%reldir%/smtp_step.h
