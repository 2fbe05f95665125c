# clients, the daemon and real mail servers together; ./runtests runs them
TESTS += tests/flow/selftest
EXTRA_DIST += \
	%reldir%/beat.py \
	%reldir%/extensions.py \
	%reldir%/fake_chunks.py \
	%reldir%/fake_imap.py \
	%reldir%/fake_imap_steps.py \
	%reldir%/fake_mail.py \
	%reldir%/fake_pop3.py \
	%reldir%/fake_proxy.py \
	%reldir%/fake_sasl.py \
	%reldir%/harness.py \
	%reldir%/hostile \
	%reldir%/matrix.py \
	%reldir%/peers.py \
	%reldir%/run \
	%reldir%/schema.py \
	%reldir%/selftest \
	%reldir%/servers_table.py \
	%reldir%/side_by_side.py \
	%reldir%/stuck_fs.py \
	%reldir%/test_access.py \
	%reldir%/test_bad_requests.py \
	%reldir%/test_big.py \
	%reldir%/test_cancel.py \
	%reldir%/test_cancel_imap.py \
	%reldir%/test_command.py \
	%reldir%/test_command_account.py \
	%reldir%/test_command_doctor.py \
	%reldir%/test_command_reading.py \
	%reldir%/test_config.py \
	%reldir%/test_cut.py \
	%reldir%/test_descriptors.py \
	%reldir%/test_errors.py \
	%reldir%/test_examples.py \
	%reldir%/test_events.py \
	%reldir%/test_events_random.py \
	%reldir%/test_gateway.py \
	%reldir%/test_imap.py \
	%reldir%/test_imap_compress.py \
	%reldir%/test_imap_extensions.py \
	%reldir%/test_imap_hostile.py \
	%reldir%/test_imap_manage.py \
	%reldir%/test_imap_login.py \
	%reldir%/test_imap_pool.py \
	%reldir%/test_imap_session.py \
	%reldir%/test_imap_sort.py \
	%reldir%/test_imap_matrix.py \
	%reldir%/test_imap_quirks.py \
	%reldir%/test_imap_table.py \
	%reldir%/test_interfaces.py \
	%reldir%/test_killed.py \
	%reldir%/test_mail.py \
	%reldir%/test_methods.py \
	%reldir%/test_pop3.py \
	%reldir%/test_pop3_faults.py \
	%reldir%/test_pop3_matrix.py \
	%reldir%/test_pop3_session.py \
	%reldir%/test_readme.py \
	%reldir%/test_reload.py \
	%reldir%/test_roundtrip.py \
	%reldir%/test_send.py \
	%reldir%/test_servers_imap.py \
	%reldir%/test_servers_imap_more.py \
	%reldir%/test_servers_pop3.py \
	%reldir%/test_servers_smtp.py \
	%reldir%/test_servers_table.py \
	%reldir%/test_sessions.py \
	%reldir%/test_smtp_batch.py \
	%reldir%/test_smtp_chunks.py \
	%reldir%/test_smtp_cold.py \
	%reldir%/test_smtp_faults.py \
	%reldir%/test_smtp_forms.py \
	%reldir%/test_smtp_limits.py \
	%reldir%/test_smtp_manual.py \
	%reldir%/test_smtp_matrix.py \
	%reldir%/test_smtp_senders.py \
	%reldir%/test_smtp_steps.py \
	%reldir%/test_smtp_wishes.py \
	%reldir%/test_socket.py \
	%reldir%/test_stack.py \
	%reldir%/test_staple.py \
	%reldir%/test_threats_imap.py \
	%reldir%/test_threats_mime.py \
	%reldir%/test_threats_net.py \
	%reldir%/test_threats_pop3.py \
	%reldir%/test_threats_proxy.py \
	%reldir%/test_threats_rpc.py \
	%reldir%/test_threats_smtp.py \
	%reldir%/wire.py

flow: all
	$(top_srcdir)/tests/flow/run --build $(abs_top_builddir) $(FLOW)
# all of it without skipping a byte; takes long
check-full: check
	POSTERN_FULL=1 $(top_srcdir)/tests/flow/run --build $(abs_top_builddir) $(FLOW)
# every hostile server, proxy and client against one daemon that is pinged all the while
hostile: all
	$(top_srcdir)/tests/flow/hostile --build $(abs_top_builddir) $(HOSTILE)
.PHONY: flow check-full hostile

# The long form of what the flow tests do in short: minutes.
flow-full: all
	POSTERN_FLOW_FULL=1 $(top_srcdir)/tests/flow/run --build $(abs_top_builddir) events_random
check-full: flow-full
.PHONY: flow-full check-full
