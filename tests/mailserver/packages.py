# SPDX-License-Identifier: MIT
"""Private copies of Debian's mail servers.

The servers' packages are downloaded and unpacked, never installed: no user is made, nothing is written to /etc, no
service of the machine starts or stops. The copies live in a cache folder, one tree for all servers, and a server
sees them through a mount namespace of its own (sandbox.py)."""

import contextlib
import fcntl
import gzip
import os
import pathlib
import platform
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


def version(folder, package):
    """The upstream version of an unpacked package."""
    with gzip.open(folder / "usr" / "share" / "doc" / package / "changelog.Debian.gz", "rt", errors="replace") as log:
        number = re.search(r"\(([^)]*)\)", log.readline()).group(1)
    return re.sub(r"^\d+:|-[^-]*$", "", number)


def _stamp_text(packages):
    return " ".join(sorted(_with_release(packages))) + "\n"


def ready(packages, name="servers"):
    try:
        return (tree(name) / "stamp").read_text() == _stamp_text(packages)
    except OSError:
        return False


def _run(command, **more):
    environment = dict(os.environ, LC_ALL="C", DEBIAN_FRONTEND="noninteractive")
    return subprocess.run(command, env=environment, capture_output=True, text=True, **more)


# Debian releases of which a server does not work, by the release that has one that does
REPLACED = {("opensmtpd", "bookworm"): "bookworm-backports"}     # its TLS fails with the release's OpenSSL


def _release():
    try:
        return platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    except OSError:
        return ""


def _with_release(packages):
    """The packages' names as apt takes them: "name/release" where not the machine's own release is wanted."""
    found = [(name, REPLACED.get((name, _release()))) for name in packages]
    return [f"{name}/{release}" if release else name for name, release in found]


@contextlib.contextmanager
def _sources(wanted):
    """Options for apt-get with lists of its own, for packages that the machine's lists have not."""
    releases = sorted({name.partition("/")[2] for name in wanted} - {""})
    if not releases:
        yield []
        return
    places = _run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Component: main", f"Codename: {_release()}"]).stdout.split()
    place = places[0] if places else "http://deb.debian.org/debian"
    with tempfile.TemporaryDirectory(prefix="postern-lists-") as lists:
        os.chmod(lists, 0o755)
        (pathlib.Path(lists) / "lists" / "partial").mkdir(parents=True)
        (pathlib.Path(lists) / "sources").write_text("".join(f"deb {place} {release} main\n" for release in [_release(), *releases]))
        options = ["-o", f"Dir::Etc::SourceList={lists}/sources", "-o", "Dir::Etc::SourceParts=/dev/null", "-o", f"Dir::State::Lists={lists}/lists"]
        done = _run(["apt-get", *options, "update", "-q"])
        if done.returncode != 0:
            raise PackageError(done.stderr.strip())
        yield options


def _missing_libraries(packages, options):
    """Libraries that the packages need and this machine lacks: they are unpacked privately as well."""
    plan = _run(["apt-get", *options, "install", "--simulate", "--no-install-recommends", "--no-remove", *packages])
    if plan.returncode != 0:        # e.g. another mail server is installed here; the plan to replace it is only a plan
        plan = _run(["apt-get", *options, "install", "--simulate", "--no-install-recommends", *packages])
    if plan.returncode != 0:
        raise PackageError(plan.stderr.strip() or plan.stdout.strip())
    planned = re.findall(r"^Inst (\S+)", plan.stdout, re.M)
    return [name for name in planned if name.startswith("lib") and name not in packages]


def _merge_usr(folder):
    """Some packages still have files in /lib, which is /usr/lib: servers see only what is below usr."""
    for name in ("bin", "lib", "lib64", "sbin"):
        if (folder / name).is_dir() and not (folder / name).is_symlink():
            shutil.copytree(folder / name, folder / "usr" / name, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(folder / name)


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
        named = _with_release(packages)
        # apt's own unprivileged user must be able to write here
        with _sources(named) as options, tempfile.TemporaryDirectory(prefix="postern-debs-") as downloads:
            os.chmod(downloads, 0o777)
            try:
                wanted = named + _missing_libraries(named, options)
            except PackageError:
                _run(["apt-get", *options, "update", "-q"], check=False)
                wanted = named + _missing_libraries(named, options)
            for attempt in ("with the present lists", "after an update"):
                fetched = _run(["apt-get", *options, "download", "-q", *wanted], cwd=downloads)
                if fetched.returncode == 0:
                    break
                if attempt == "with the present lists":
                    _run(["apt-get", *options, "update", "-q"])
            else:
                raise PackageError(fetched.stderr.strip())
            fresh = pathlib.Path(tempfile.mkdtemp(prefix=f"{name}-", dir=cache))
            fresh.chmod(0o755)
            for package in sorted(pathlib.Path(downloads).glob("*.deb")):
                done = _run(["dpkg-deb", "-x", str(package), str(fresh)])
                if done.returncode != 0:
                    raise PackageError(done.stderr.strip())
        _merge_usr(fresh)
        (fresh / "stamp").write_text(_stamp_text(packages))
        if tree(name).exists():
            old = cache / f"{name}-old-{os.getpid()}"
            tree(name).rename(old)
            shutil.rmtree(old, ignore_errors=True)
        fresh.rename(tree(name))
