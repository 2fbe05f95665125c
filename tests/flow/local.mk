# clients, the daemon and real mail servers together; ./runtests runs them
EXTRA_DIST += %reldir%/harness.py %reldir%/run %reldir%/schema.py %reldir%/stuck_fs.py %reldir%/test_access.py %reldir%/test_bad_requests.py \
	%reldir%/test_big.py %reldir%/test_command.py %reldir%/test_config.py %reldir%/test_descriptors.py %reldir%/test_errors.py %reldir%/test_exim.py %reldir%/test_gateway.py %reldir%/fake_imap.py %reldir%/fake_mail.py %reldir%/matrix.py %reldir%/fake_pop3.py %reldir%/test_imap.py %reldir%/test_imap_hostile.py %reldir%/test_imap_manage.py \
	%reldir%/test_interfaces.py %reldir%/test_mail.py %reldir%/test_methods.py %reldir%/test_pop3.py %reldir%/test_pop3_faults.py %reldir%/test_pop3_session.py %reldir%/test_readme.py %reldir%/test_send.py %reldir%/test_sessions.py \
	%reldir%/test_smtp_faults.py %reldir%/test_smtp_matrix.py %reldir%/test_smtp_steps.py %reldir%/test_socket.py

flow: all
	$(top_srcdir)/tests/flow/run --build $(abs_top_builddir) $(FLOW)
.PHONY: flow
