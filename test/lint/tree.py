# SPDX-License-Identifier: Apache-2.0
"""What the Python lints share: the files of the project, C text without comments and strings, and the exit code."""
import os
import re
import subprocess
import sys

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ROOT = sys.argv[1] if len(sys.argv) > 1 else PROJECT

TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def files(*suffixes):
    """Paths relative to ROOT: what git knows or would add; without git everything but build folders."""
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z", "-co", "--exclude-standard"], capture_output=True, check=False)
    if listed.returncode == 0 and os.path.exists(os.path.join(ROOT, ".git")):
        names = listed.stdout.decode().split("\0")
    else:
        names = [os.path.relpath(os.path.join(folder, name), ROOT) for folder, _, found in os.walk(ROOT) for name in found]
    keep = [n for n in names if n and not n.startswith(("build", ".git/")) and (not suffixes or n.endswith(suffixes))]
    return sorted(n for n in keep if os.path.isfile(os.path.join(ROOT, n)))


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8", errors="replace") as stream:
        return stream.read()


def blank(match):
    """The same number of lines and columns, but nothing to find."""
    text = match.group(0)
    if text[0] in "\"'":
        return text[0] + re.sub(r"[^\n]", " ", text[1:-1]) + text[0]
    return re.sub(r"[^\n]", " ", text)


def code(text):
    return TOKEN.sub(blank, text)


def table(name):
    """Lines `key: word word …` of a table beside the lints; # starts a comment."""
    with open(os.path.join(PROJECT, "test", "lint", name), encoding="utf-8") as lines:
        for line in lines:
            line = line.split("#")[0].strip()
            if line:
                key, _, words = line.partition(":")
                yield key.strip(), words.split()


class Complaints:
    def __init__(self):
        self.count = 0

    def add(self, name, line, text):
        print(f"{name}:{line}: {text}")
        self.count += 1

    def finish(self):
        sys.exit(1 if self.count else 0)
