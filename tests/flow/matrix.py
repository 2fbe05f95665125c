# SPDX-License-Identifier: MIT
"""Runs tables of cases, each a fake server that fails in its own way and what a call must say of it, many at once on one daemon.

How long a daemon waits in a case is short, and longer on a machine that is slow. Where a few cases fail they are played once more, one after
the other: a server that a busy machine let wait too long is no fault of the daemon's."""

import base64
import concurrent.futures
import copy
import os
import re
import threading
import time

from harness import WAIT_S, RpcError, same, slow

LIMIT_MS = 800          # of every wait that an account of a case has
WAITS = {"connect_timeout": f"{LIMIT_MS}ms", "timeout": f"{LIMIT_MS}ms", "data_timeout": f"{LIMIT_MS}ms"}
PASSWORD = "geheim-7"
AT_ONCE = 12
POISON = ("protocol", "timeout", "disconnected", "limit")
FLOOD_MAX = 16 << 20      # what kernels hold is in it
SECOND_MAX = 5            # more cases that fail are no accident
scale = 1.0               # of all waits, as slow as the machine is


def slack_s():
    """What an answer may come late by: more on a machine that has more to do than it can."""
    return 0.5 * max(1, os.getloadavg()[0] / os.cpu_count())


class Case:
    """One row. `wanted` is None where the call succeeds, else (kind, stage, outcome, retry)."""

    def __init__(self, name, wanted, scripts, limit_ms=LIMIT_MS, **options):
        self.name, self.wanted, self.limit_ms, self.options = name, wanted, limit_ms, options
        self.scripts = scripts if isinstance(scripts, list) else [scripts]
        self.server = None

    def option(self, name, otherwise=None):
        return self.options.get(name, otherwise)

    def anew(self):
        """The same, never played."""
        fresh = copy.copy(self)
        fresh.scripts, fresh.options = copy.deepcopy((self.scripts, self.options))
        for given in (fresh.options.get("params"), fresh.options.get("call")):      # how long the call itself may take
            if given and "timeout" in given:
                given["timeout"] = int(given["timeout"] * scale)
        return fresh


class Pulse:
    """Pings all the while: the longest answer says how busy machine and daemon were."""

    def __init__(self, daemon):
        self.client, self.worst, self.over = daemon.client(), 0, False
        self.thread = threading.Thread(target=self.beat, daemon=True)

    def beat(self):
        while not self.over:
            began = time.monotonic()
            self.client.call("gateway.ping")
            self.worst = max(self.worst, time.monotonic() - began)
            time.sleep(0.01)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.thread.join()
        self.client.close()


def at_the_handshake(step, wanted):
    """What a fault there may be called besides: a daemon that was busy finds bytes in clear right behind the agreement to start TLS."""
    return {"either": [wanted, ("protocol", "tls", "none", "later")]} if step == "handshake" else {}


def forms(password):
    """What of a password must not be seen in clear."""
    yield password.encode()
    for shift in range(3):      # base64 of it, wherever it stands in a text
        yield base64.b64encode(b"x" * shift + password.encode())[4 if shift else 0:-4]


def describe(error):
    data = error.data
    return error.kind or error.code, data.get("stage"), data.get("outcome"), data.get("retry")


def play(daemon, account, case, call, again, pulse):
    """What is wrong with the case, or None. call(client) is what meets the fault, again(client) what must work afterwards."""
    wrong = []
    with daemon.client() as client:
        for early in case.option("before", []):
            early(client, account)
        began = time.monotonic()
        try:
            result, found = call(client, account, case), None
        except RpcError as error:
            result, found = error, describe(error)
        took = time.monotonic() - began
        before = case.server.connections
        if found not in case.option("either", [case.wanted]):
            wrong.append(f"wanted {case.wanted}, got {found}: {result}")
        elif case.option("check"):
            wrong += filter(None, [case.options["check"](case, result)])
        if case.server.connections != case.option("connections", case.server.connections):
            wrong.append(f"there were {case.server.connections} connections")
        if took > case.limit_ms * scale / 1000 + slack_s() + pulse.worst:
            wrong.append(f"took {took:.2f} s")
        if case.server.flooded > FLOOD_MAX:
            wrong.append(f"{case.server.flooded} bytes of an endless answer were taken")
        if not case.option("plain_auth"):
            seen = [form for form in forms(PASSWORD) if form in case.server.clear]
            if seen:
                wrong.append("the password went out in clear")
        # A failure on the way to the server may make the next call wait; one behind it may not.
        if case.wanted and case.wanted[1] not in case.option("works_after", ()):
            client.call("gateway.resume", account=account)
        if not case.option("hopeless"):
            case.server.scripts.clear()
            try:
                again(client, account, case)
            except RpcError as error:
                wrong.append(f"the next call failed: {describe(error)}: {error}")
            # What broke the protocol, or was too slow, serves nobody any more.
            if case.option("poisoned", bool(found) and found[0] in POISON) and case.server.connections == before:
                wrong.append("the connection was used again")
    return "; ".join(wrong) or None


def run(flow, section, cases, make, call, again, settings=None, environment=None):
    """All of them on a daemon of their own; raises with all that was wrong."""
    global scale
    scale = slow()

    def play_all(played, at_once):
        with flow.own_daemon(accounts(flow, section, played, make), settings, environment) as daemon:
            files = daemon.files()
            failures = run_on(daemon, played, call, again, at_once)
            flow.wait_for(lambda: not daemon.files() - files, WAIT_S, what="the end of all descriptors")
        return failures
    same(len(cases), len({case.name for case in cases}), "names of cases")
    failures = play_all([case.anew() for case in cases], AT_ONCE)
    if 0 < len(failures) <= SECOND_MAX:
        for name, wrong in failures.items():
            print(f"once more: {name}: {wrong}")
        failures = play_all([case.anew() for case in cases if case.name in failures], 1)
    assert not failures, f"{len(failures)} of {len(cases)}:\n" + "\n".join(f"{name}: {wrong}" for name, wrong in sorted(failures.items()))


def run_on(daemon, cases, call, again, at_once):
    """{name: what is wrong with it} of those that failed."""
    failures = {}
    with Pulse(daemon) as pulse, concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        jobs = {pool.submit(play, daemon, case.name, case, call, again, pulse): case for case in cases}
        for job in concurrent.futures.as_completed(jobs):
            try:
                wrong = job.result()
            except Exception as error:
                wrong = f"{type(error).__name__}: {error}"
            if wrong:
                failures[jobs[job].name] = wrong
    # Of those that failed nothing is left; a pool may keep one that works.
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline and any(len(case.server.still_open()) > 1 for case in cases):
        time.sleep(0.05)
    for case in cases:
        if len(case.server.still_open()) > 1:
            failures.setdefault(case.name, f"{len(case.server.still_open())} connections were left open")
        case.server.close()
    return failures


def scaled(keys):
    """The waits among the keys, longer on a slow machine."""
    found = dict(keys)
    for name in WAITS:
        if name in found and (given := re.fullmatch(r"(\d+)(ms|s)", str(found[name]))):
            found[name] = f"{int(int(given[1]) * scale * (1 if given[2] == 'ms' else 1000))}ms"
    return found


def accounts(flow, section, cases, make):
    """The cases' accounts, for which their servers start."""
    found = {}
    for case in cases:
        case.server = make(flow, case)
        keys = {"host": "127.0.0.1", "port": case.server.port, "tls": "all" if case.option("tls") else "none",
                "implicit_tls": "yes" if case.option("implicit") else "no", "pool_size": 1, **WAITS}
        if not case.option("tls"):
            keys["ca_file"] = None
        if case.option("plain_auth"):
            keys["allow_plaintext_auth"] = "yes"
        keys.update(case.option("keys", {}))
        login = {"username": None, "password": None}
        if case.option("login"):
            login = {"username": "ann", "password": None, "token": PASSWORD} if case.option("token") else {"username": "ann", "password": PASSWORD}
        found[case.name] = flow.account("ann", **{"account": {"senders": "*"}, "auth": login, section: scaled(keys)})
    return found
