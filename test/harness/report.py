#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""report.py --whole|--part MINIMUMS LOG: counts the tests of a meson JSON log truly and prints `N passed, N failed`.

A program that speaks TAP counts with each of its subtests, any other as one. A program fails as a whole too when it ends
badly without naming a failed subtest, or when it ran fewer tests than MINIMUMS says (one that is skipped for a reason, as
where nothing can be mounted, is told in the sum and counts as run). --whole: each program that is listed
there must have run.

What failed is told on stderr, each line with FAILED in front, for .ci/run to gather: first the story of each program (its
failed subtests with what it said of them, the end of its stderr or the head of a sanitizer's report), then the complaints.
"""
import io
import json
import os
import re
import sys

REPORT = re.compile(r"(ERROR|WARNING): \w*Sanitizer|: runtime error: ")
SUBTEST = re.compile(r"^(not )?ok\b(.*)$", re.M)
LINES_OF_PROGRAM = 60
LINES_OF_STDERR = 30
LINES_OF_ALL = 400  # shared by the programs, at least LINES_OF_STDERR for each
COLUMNS = 300


def read_minimums(path):
    minimums = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            words = line.split("#")[0].split()
            if words:
                minimums[words[0]] = int(words[1])
    return minimums


def count(test):
    """(passed, failed, skipped) of one program."""
    result = test["result"]
    if test.get("stdout", "").startswith("TAP version"):
        passed = failed = skipped = 0
        for is_bad, text in SUBTEST.findall(test["stdout"]):
            if re.search(r"#\s*skip test (was skipped|is disabled)", text, re.I):
                continue  # Criterion's word for what a filter left out: it did not run
            if re.search(r"#\s*skip", text, re.I):
                skipped += 1
            elif is_bad:
                failed += 1
            else:
                passed += 1
    else:
        passed, failed, skipped = (1, 0, 0) if result in ("OK", "EXPECTEDFAIL") else (0, 0, 1 if result == "SKIP" else 0)
    if result not in ("OK", "EXPECTEDFAIL", "SKIP") and failed == 0:
        failed = 1
    return passed, failed, skipped


def failed_subtests(stdout):
    """Each `not ok` line with the `#` and indented lines that explain it."""
    lines, inside = [], False
    for line in stdout.splitlines():
        inside = line.startswith("not ok") or (inside and (line[:1] in "# \t") and bool(line.strip()))
        if inside:
            lines.append(line)
    return lines


def end_of(stderr, most):
    """The last lines; of a sanitizer's report its head, which says what and where (its end is a legend)."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    reports = [i for i, line in enumerate(lines) if REPORT.search(line)]
    return lines[reports[0]:][:most] if reports else lines[-most:]


def story(test, most):
    """At most `most` lines that tell why a program failed: a missing story is told by the end of what it said at all."""
    stdout, stderr = test.get("stdout", ""), test.get("stderr", "")
    told = failed_subtests(stdout) or stdout.splitlines()[-LINES_OF_STDERR:]
    end = end_of(stderr, min(LINES_OF_STDERR, most // 2))
    room = most - len(end)
    if len(told) > room:
        told = told[:room - 1] + [f"[{len(told) - room + 1} more lines]"]
    lines = told + ["stderr: " + line for line in end]
    return ["".join(c if c.isprintable() else " " for c in line)[:COLUMNS] for line in lines]


def tell(failed):
    most = max(LINES_OF_STDERR, min(LINES_OF_PROGRAM, LINES_OF_ALL // max(1, len(failed))))
    for name, test in failed:
        for line in story(test, most):
            print(f"FAILED {name}| {line}", file=sys.stderr)


def main():
    extent, minimums_path, log_path = sys.argv[1:]
    minimums = read_minimums(minimums_path)
    total = [0, 0, 0]
    complaints, failed = [], []
    seen = set()
    if os.path.exists(log_path):
        log = open(log_path, encoding="utf-8")
    else:
        log = io.StringIO()  # meson found no test and wrote nothing
    with log:
        for line in log:
            test = json.loads(line)
            name = test["name"].split(" / ")[-1].strip()
            numbers = count(test)
            total = [a + b for a, b in zip(total, numbers)]
            seen.add(name)
            told = test["result"] == "SKIP" or numbers[0] + numbers[2] >= minimums.get(name, 0)
            if numbers[1] or not told:
                failed.append((name, test))
            if numbers[1]:
                complaints.append(f"{name}: {numbers[1]} failed ({test['result']})")
            elif name not in minimums:
                complaints.append(f"{name}: not in {minimums_path} (add the line: {name} {numbers[0]})")
                total[1] += 1
            elif not told:
                complaints.append(f"{name}: only {numbers[0]} tests passed, at least {minimums[name]} expected")
                total[1] += 1
    if extent == "--whole":
        for name in sorted(set(minimums) - seen):
            complaints.append(f"{name}: did not run")
            total[1] += 1
    tell(failed)
    for complaint in complaints:
        print("FAILED " + complaint, file=sys.stderr)
    print(f"{total[0]} passed, {total[1]} failed" + (f", {total[2]} skipped" if total[2] else ""))
    sys.exit(1 if total[1] or not total[0] else 0)


main()
