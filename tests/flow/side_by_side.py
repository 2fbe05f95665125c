# SPDX-License-Identifier: MIT
"""Hands the flow tests out to runs of tests/flow/run, prints their lines as they come, and counts.

A worker gets lines "THEME[:NAME] …" on its standard input. Between its verdicts, which are printed as they are, it says
"\\1failed THEME NAME" before the lines of a test that failed without doing harm, "\\1called …" (the methods), and "\\1done" after each
line that it was handed.

A test that failed is run once more, at the end and by itself, where there are few of these: a machine that is slow for a while is no
fault of the daemon. If it passes then it is told as `unsteady`, with what was wrong first. What did harm (a daemon that died, a
sanitizer's report, descriptors that were kept) counts at once, whatever would happen a second time."""

import re
import subprocess
import threading

SECOND_MAX = 3          # more that fail are no accident
VERDICTS = ("ok", "skip", "FAIL", "again")
MARK = "\x01"


class Failed:
    """A test that failed for the first time."""

    def __init__(self, theme, name):
        self.theme, self.name, self.lines = theme, name, []

    def title(self):
        """What its verdict line says, without the word and the time."""
        return re.sub(r" \(\d+\.\d s\)$", "", self.lines[0].split(None, 1)[1].rstrip())

    def reason(self):
        """The first line of why."""
        return self.lines[1].strip() if len(self.lines) > 1 else "no reason was told"


class SideBySide:
    """`command(number)` is how to start a worker; `groups` what is handed out, a list of words each, the longest first."""

    def __init__(self, command, groups, put=print):
        self.command, self.waiting, self.put = command, list(groups), put
        self.lock = threading.Lock()
        self.counts = {"ok": 0, "FAIL": 0, "skip": 0}
        self.called = set()
        self.failed = []        # those that may pass yet
        self.unsteady = 0

    def run(self, jobs):
        """All of it, in so many workers."""
        threads = [threading.Thread(target=self._work, args=(number,)) for number in range(1, jobs + 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.waiting:
            self._fail(f"run: nobody was left to run {sum(map(len, self.waiting))} themes")
        if 0 < len(self.failed) <= SECOND_MAX:
            self._second()
        else:
            for test in self.failed:
                self._fail(test.title(), test.lines[1:])
        if self.unsteady:
            self.put(f"unsteady: {self.unsteady}", flush=True)
        return self.counts

    def _fail(self, title, more=()):
        self.counts["FAIL"] += 1
        self.put("".join([f"FAIL  {title}\n", *more]), end="", flush=True)

    def _start(self, number):
        return subprocess.Popen(self.command(number), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, errors="replace")

    @staticmethod
    def _hand(process, words):
        """Gives it something to do, or with None the end."""
        try:
            if words:
                process.stdin.write(" ".join(words) + "\n")
                process.stdin.flush()
            else:
                process.stdin.close()
        except (OSError, ValueError):   # it has ended already
            pass

    def _next(self):
        with self.lock:
            return self.waiting.pop(0) if self.waiting else None

    @staticmethod
    def _blocks(process, done):
        """[("called", words) | (verdict, its lines, the Failed or None)]; done() is called where it wants more."""
        block, test = [], None

        def whole():
            return (block[0].split(" ", 1)[0], block, test if block[0].startswith("again") else None)
        for line in process.stdout:
            if line.startswith(MARK) or line.split(" ", 1)[0] in VERDICTS:
                if block:
                    yield whole()
                block = []
            if line.startswith(MARK + "failed "):
                test = Failed(*line.split()[1:3])
            elif line.startswith(MARK + "called"):
                yield ("called", line.split()[1:], None)
            elif line.startswith(MARK + "done"):
                done()
            elif line.startswith(MARK):
                continue
            elif block or line.split(" ", 1)[0] in VERDICTS:
                block.append(line)
                if line.startswith("ok "):
                    yield whole()
                    block = []
            else:
                block = ["      " + line]       # what a test printed
                yield ("", block, None)
                block = []
        if block:
            yield whole()

    def _work(self, number):
        process = self._start(number)
        self._hand(process, self._next())
        for verdict, lines, test in self._blocks(process, lambda: self._hand(process, self._next())):
            with self.lock:
                if verdict == "called":
                    self.called.update(lines)
                    continue
                if test:
                    test.lines = list(lines)
                    self.failed.append(test)
                elif verdict in self.counts:
                    self.counts[verdict] += 1
                self.put("".join(lines), end="", flush=True)
        if process.wait() != 0:
            with self.lock:
                self._fail(f"run: number {number} of the runs side by side ended with {process.returncode}")

    def _second(self):
        """Each that failed once more, by itself in a run of its own."""
        self.put(f"\nonce more, by themselves: {len(self.failed)} that failed", flush=True)
        process = self._start("again")
        queue, told = list(self.failed), {id(test): [] for test in self.failed}
        running = []

        def more():
            running[:] = queue[:1]
            self._hand(process, [f"{running[0].theme}:{running[0].name}"] if running else None)
            del queue[:1]
        more()
        for verdict, lines, _ in self._blocks(process, more):
            if verdict not in ("ok", "skip", "FAIL", "again"):
                continue
            if running:
                told[id(running[0])].append((verdict, list(lines)))
            elif verdict != "ok":       # how its daemon ended
                self._fail(lines[0].split(None, 1)[1].rstrip("\n"), lines[1:])
        ended = process.wait()
        for test in self.failed:
            verdicts = told[id(test)]
            if verdicts and all(verdict == "ok" for verdict, _ in verdicts) and ended == 0:
                self.counts["ok"] += 1
                self.unsteady += 1
                self.put(f"unsteady {test.title()} (first: {test.reason()})", flush=True)
            else:
                wrong = [line for verdict, lines in verdicts if verdict != "ok" for line in lines[1:]]
                self._fail(test.title(), wrong or [f"      the second time it was not run to its end (first: {test.reason()})\n"])
