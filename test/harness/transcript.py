#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""transcript.py FILE OUT: runs the commands of a golden transcript in order and compares what they say; TAP on stdout.

    # a comment
    $ kubectl get pgc          the command; each is one test
    > more of the command
    No resources found         the normalised output, standard output and error as they came
    [exit 1]                   unless it was 0
    % kubectl wait …           runs too and must succeed, but its output is not kept

OUT gets the transcript as it was this time. UPDATE=1 in the environment makes FILE say what is so now.
"""
import difflib
import os
import subprocess
import sys

from normalise import normalise

DEADLINE = 180


class Step:
    def __init__(self, line):
        self.source = [line]
        self.command = line[2:]
        self.kind = line[0]
        self.expected = []

    def run(self):
        """The lines that it leaves in the transcript."""
        try:
            done = subprocess.run(["bash", "-c", self.command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=DEADLINE, check=False)
            output, code = done.stdout, str(done.returncode)
        except subprocess.TimeoutExpired as late:
            output, code = late.stdout or b"", f"none after {DEADLINE} s"
        if self.kind == "%" and code == "0":
            return []
        lines = normalise(output.decode("utf-8", "replace")).splitlines()
        # Output that looks like a line of ours is set apart by a backslash.
        lines = ["\\" + line if line[:1] == "#" or line[:2] in ("$ ", "% ", "> ") else line for line in lines]
        return lines + ([f"[exit {code}]"] if code != "0" else [])


def parse(path):
    """Comments and steps in order."""
    parts = []
    with open(path, encoding="utf-8") as stream:
        for line in stream.read().splitlines():
            step = parts[-1] if parts and isinstance(parts[-1], Step) else None
            if line[:2] in ("$ ", "% "):
                parts.append(Step(line))
            elif line[:2] == "> " and step and not step.expected:
                step.source.append(line)
                step.command += "\n" + line[2:]
            elif line[:1] == "#" or not step:
                parts.append(line)
            else:
                step.expected.append(line)
    return parts


def strip_tail(lines):
    while lines and not lines[-1]:
        lines = lines[:-1]
    return lines


def main():
    path, out_path = sys.argv[1:]
    update = os.environ.get("UPDATE") == "1"
    parts = parse(path)
    result, number, failed = [], 0, 0
    print("TAP version 13")
    for part in parts:
        if not isinstance(part, Step):
            result.append(part)
            continue
        number += 1
        actual = part.run()
        result += part.source + strip_tail(actual) + ([""] if part.expected[-1:] == [""] else [])
        good = strip_tail(actual) == strip_tail(part.expected) or (update and (part.kind == "$" or not actual))
        print(f"{'ok' if good else 'not ok'} {number} - {part.source[0][2:].replace('#', '')}", flush=True)
        if not good:
            failed += 1
            for line in difflib.unified_diff(part.expected, actual, "expected", "actual", lineterm=""):
                print("# " + line, flush=True)
    print(f"1..{number}")
    text = "\n".join(result) + "\n"
    with open(out_path, "w", encoding="utf-8") as stream:
        stream.write(text)
    if update:
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
    sys.exit(1 if failed or not number else 0)


main()
