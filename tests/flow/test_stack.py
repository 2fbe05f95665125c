# SPDX-License-Identifier: MIT
"""A daemon that has little stack."""

import contextlib
import resource

import harness
import test_bad_requests
import test_threats_imap
import test_threats_mime
import test_threats_rpc
from harness import same

STACK = 256 << 10
DEEP = [test_bad_requests.test_depth, test_threats_mime.test_nesting, test_threats_mime.test_boundaries, test_threats_mime.test_words,
        test_threats_imap.test_deep_structures, test_threats_rpc.test_texts]


@contextlib.contextmanager
def small_stacks():
    """Daemons that start meanwhile have no more."""
    before = harness.Daemon.wrapper
    harness.Daemon.wrapper = ["prlimit", f"--stack={STACK}:{STACK}", *before]
    try:
        yield
    finally:
        harness.Daemon.wrapper = before


def test_deep_input(flow):
    """256 kB of stack are enough for the deepest requests, messages and answers, and for what is usual"""
    user, usual = flow.user(), flow.daemon
    with small_stacks(), flow.own_daemon({user: flow.account(user)}) as daemon:
        same(resource.prlimit(daemon.process.pid, resource.RLIMIT_STACK), (STACK, STACK))
        flow.daemon = daemon
        try:
            for test in DEEP:
                test(flow)
        finally:
            flow.daemon = usual
        with daemon.client() as client:
            client.call("smtp.send", account=user, message={"from": flow.mail.address(user), "to": flow.mail.address(user), "subject": "little", "text": "x"})
            flow.wait_for(lambda: client.call("imap.search", account=user, query="ALL")["uids"], what="the mail")
            same(client.call("imap.fetch", account=user, uids="1", items=["ENVELOPE", "BODYSTRUCTURE"])["messages"][0]["envelope"]["subject"], "little")
            same(client.call("pop3.stat", account=user)["count"], 1)
