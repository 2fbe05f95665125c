# SPDX-License-Identifier: MIT
"""Private copies of Debian's mail servers.

The servers' packages are downloaded and unpacked, never installed: no user is made, nothing is written to /etc, no
service of the machine starts or stops. The copies live in a cache folder, one tree for all servers, and a server
sees them through a mount namespace of its own (sandbox.py)."""

import fcntl
import os
import pathlib
import re
import shutil
import subprocess
import tempfile


class PackageError(Exception):
    pass


def cache_folder():
    """Where everything that tests fetch once is kept."""
    chosen = os.environ.get("POSTERN_TEST_CACHE")
    if chosen:
        return pathlib.Path(chosen)
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "postern-tests"


def tree(name="servers"):
    """The tree of the servers that every test uses, or of a further one by its name."""
    return cache_folder() / name


def _stamp_text(packages):
    return " ".join(sorted(packages)) + "\n"


def ready(packages, name="servers"):
    try:
        return (tree(name) / "stamp").read_text() == _stamp_text(packages)
    except OSError:
        return False


def _run(command, **more):
    environment = dict(os.environ, LC_ALL="C", DEBIAN_FRONTEND="noninteractive")
    return subprocess.run(command, env=environment, capture_output=True, text=True, **more)


def _missing_libraries(packages):
    """Libraries that the packages need and this machine lacks: they are unpacked privately as well."""
    plan = _run(["apt-get", "install", "--simulate", "--no-install-recommends", "--no-remove", *packages])
    if plan.returncode != 0:        # e.g. another mail server is installed here; the plan to replace it is only a plan
        plan = _run(["apt-get", "install", "--simulate", "--no-install-recommends", *packages])
    if plan.returncode != 0:
        raise PackageError(plan.stderr.strip() or plan.stdout.strip())
    planned = re.findall(r"^Inst (\S+)", plan.stdout, re.M)
    return [name for name in planned if name.startswith("lib") and name not in packages]


def unpack(packages, name="servers", say=lambda text: None):
    """Brings the private copies of the packages into the cache; does nothing when they are there."""
    if ready(packages, name):
        return
    if os.geteuid() != 0:
        raise PackageError("the mail servers are unpacked and run as root")
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if ready(packages, name):
            return
        say("unpacking privately: " + " ".join(packages))
        try:
            wanted = list(packages) + _missing_libraries(packages)
        except PackageError:
            _run(["apt-get", "update", "-q"], check=False)
            wanted = list(packages) + _missing_libraries(packages)
        # apt's own unprivileged user must be able to write here
        with tempfile.TemporaryDirectory(prefix="postern-debs-") as downloads:
            os.chmod(downloads, 0o777)
            for attempt in ("with the present lists", "after an update"):
                fetched = _run(["apt-get", "download", "-q", *wanted], cwd=downloads)
                if fetched.returncode == 0:
                    break
                if attempt == "with the present lists":
                    _run(["apt-get", "update", "-q"])
            else:
                raise PackageError(fetched.stderr.strip())
            fresh = pathlib.Path(tempfile.mkdtemp(prefix=f"{name}-", dir=cache))
            fresh.chmod(0o755)
            for package in sorted(pathlib.Path(downloads).glob("*.deb")):
                done = _run(["dpkg-deb", "-x", str(package), str(fresh)])
                if done.returncode != 0:
                    raise PackageError(done.stderr.strip())
        (fresh / "stamp").write_text(_stamp_text(packages))
        if tree(name).exists():
            old = cache / f"{name}-old-{os.getpid()}"
            tree(name).rename(old)
            shutil.rmtree(old, ignore_errors=True)
        fresh.rename(tree(name))
