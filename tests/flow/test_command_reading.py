# SPDX-License-Identifier: MIT
"""The postern command for people who read: ls, search, read, fetch, against the real servers."""

import email.message
import json
import os
import tempfile

from harness import same
from test_command import postern

EVIL = "../../etc/\x1b[31mpass\u202ewd.txt"


def mail(sender, subject, text, attachments=(), html=None, answers=None):
    m = email.message.EmailMessage()
    m["From"], m["To"], m["Subject"] = sender, "me@example.com", subject
    m["Message-ID"] = f"<{abs(hash(subject))}@example.com>"
    m["Date"] = "Mon, 02 Mar 2026 10:00:00 +0100"
    if answers:
        m["In-Reply-To"] = m["References"] = f"<{abs(hash(answers))}@example.com>"
    m.set_content(html, subtype="html") if html else m.set_content(text)
    for name, content in attachments:
        m.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    return m.as_bytes()


def filled(flow):
    user = flow.user()
    flow.put(user, mail("Ann Example <ann@example.com>", "Lunch?", "At noon.\n"))
    flow.put(user, mail("bob@example.com", "Re: Lunch?", "Grüße, \x1b[31mBob\n", answers="Lunch?"))
    flow.put(user, mail("shop@example.com", "Your order", "See below.\n", attachments=[(EVIL, b"\0\1\2" * 1000), ("-rf", b"x"), ("", b"y")]))
    flow.put(user, mail("news@example.com", "Offers", "", html="<html><head><style>p{color:red}</style></head><body><p>One &amp; <b>two</b></p>"
                                                                "<!-- hidden --><p>three<br>four</p><script>x()</script></body></html>"))
    return user


def test_ls(flow):
    """postern ls shows the newest messages last, with flags, dates, senders, subjects"""
    user = filled(flow)
    lines = postern(flow, "-a", user, "ls", terminal=True)[0].splitlines()
    assert lines.pop(0).split()[-5:] == ["UID", "DATE", "FROM", "SIZE", "SUBJECT\x1b[0m"], lines
    same(len(lines), 4)
    assert "Ann Example" in lines[0] and "Lunch?" in lines[0] and "2 Mar" in lines[0], lines[0]
    assert "@" in lines[2].split("shop")[0] and "@" not in lines[0].split("Ann")[0], lines
    assert lines[0].startswith("\x1b[1m") and all(len(line) < 120 for line in lines)
    text, note = postern(flow, "ls", "-a", user, "-n", "2")
    assert '"subject":"Offers"' in text                                # not on a terminal: JSON
    same([m["uid"] for m in json.loads(text)["messages"]], [3, 4])
    same([m["uid"] for m in json.loads(postern(flow, "ls", "-a", user, "-n", "3", "-p", "2")[0])["messages"]], [1])
    shown = postern(flow, "-a", user, "ls", "--mailboxes", terminal=True)[0]
    assert any(line.split()[:3] == ["4", "4", "INBOX"] for line in shown.splitlines()), shown
    assert "no messages" in postern(flow, "ls", "Trash", "-a", user, terminal=True)[0]
    postern(flow, "-a", user, "ls", "Nowhere", status=69)
    postern(flow, "-a", user, "ls", "-n", "0", status=64)


def test_search(flow):
    """postern search shows what the server finds"""
    user = filled(flow)
    shown = postern(flow, "-a", user, "search", "SUBJECT", "order", terminal=True)[0].splitlines()
    assert len(shown) == 2 and "Your order" in shown[1], shown
    same(json.loads(postern(flow, "-a", user, "search", "FROM nobody")[0])["messages"], [])


def test_read(flow):
    """postern read shows a message without letting it touch the terminal, and marks it as read"""
    user = filled(flow)
    shown = postern(flow, "-a", user, "read", "2", terminal=True, PAGER="cat")[0]
    assert "Date: Mon  2 Mar 2026 09:00 +0000" in postern(flow, "-a", user, "read", "-k", "2", terminal=True, PAGER="cat", TZ="UTC0")[0]
    assert "From: bob@example.com" in shown and "Grüße" in shown and "\\x1b[31mBob" in shown and "\x1b[31mBob" not in shown, shown
    same(json.loads(postern(flow, "-a", user, "ls", "--unseen")[0])["messages"][0]["uid"], 1)
    same(len(json.loads(postern(flow, "-a", user, "ls", "--unseen")[0])["messages"]), 3)
    postern(flow, "-a", user, "read", "--keep-unread", "1", terminal=True, PAGER="cat")
    same(len(json.loads(postern(flow, "-a", user, "ls", "--unseen")[0])["messages"]), 3)
    shown = postern(flow, "-a", user, "read", "4", terminal=True, PAGER="cat")[0].replace("\r", "")
    assert "One & two\n" in shown and "three\nfour\n" in shown and "color" not in shown and "x()" not in shown and "hidden" not in shown, shown
    paged = postern(flow, "-a", user, "read", "4", terminal=True, PAGER="sed s/^/paged:/")[0]
    assert "paged:Subject: Offers" in paged, paged
    same(json.loads(postern(flow, "-a", user, "read", "4")[0])["subject"], "Offers")
    postern(flow, "-a", user, "read", "99", status=66)
    postern(flow, "-a", user, "read", "x", status=64)


def test_save(flow):
    """Attachments are saved under names that can do no harm, never over a file that is there"""
    user = filled(flow)
    with tempfile.TemporaryDirectory() as folder:
        postern(flow, "-a", user, "read", "--save", "-d", folder, "3", terminal=True)
        postern(flow, "-a", user, "read", "--save", "-d", folder, "3", terminal=True)
        names = sorted(os.listdir(folder))
        same(len(names), 6, names)
        assert all("/" not in name and "\x1b" not in name and "\u202e" not in name and name[0] not in "-." for name in names), names
        same(sorted(os.path.getsize(os.path.join(folder, name)) for name in names), [1, 1, 1, 1, 3000, 3000])
        os.symlink("/etc/hostname", os.path.join(folder, "2.eml"))
        postern(flow, "-a", user, "fetch", "-d", folder, "2", "1")
        with open(os.path.join(folder, "2-1.eml"), "rb") as file:
            assert b"Subject: Re: Lunch?" in file.read()
        assert os.path.islink(os.path.join(folder, "2.eml")) and os.path.exists(os.path.join(folder, "1.eml"))
