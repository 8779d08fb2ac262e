#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""normalise.py: a filter that replaces what differs from run to run (times, ids, versions, ports, ages, folders) by names.

The only place that does so: a golden file shows everything else byte for byte.
"""
import os
import re
import sys

AGE = r"(?:\d+d(?:\d+h)?|\d+h(?:\d+m)?|\d+m(?:\d+s)?|\d+s)"
# Each rule: pattern, replacement. The order matters.
RULES = [(re.compile(pattern, re.M), new) for pattern, new in [
    # klog prefixes of kubectl itself: E1123 13:11:00.123456   12345 memcache.go:265]
    (r"^[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ ([\w.]+):\d+\]", r"<KLOG> \1]"),
    (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)", "<TIME>"),
    (r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d (?:[+-]\d{4}|GMT|UTC)", "<TIME>"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "<UID>"),
    (r"(\"?(?:resourceVersion|resource-version|Resource Version)\"?[:=] *\"?)\d+", r"\1<RV>"),
    (r"(resourceVersion(?:%3D|=))\d+", r"\1<RV>"),
    (r"(\"?(?:continue|Continue)\"?: *\"?)[A-Za-z0-9_-]{8,}", r"\1<CONTINUE>"),
    (r"\b(127(?:\.\d{1,3}){3}|localhost|\[::1\]):\d{2,5}\b", r"\1:<PORT>"),
    (r"\b(port(?:\"?[:=] *\"?| ))\d{4,5}\b", r"\1<PORT>"),
    (r"\b[0-9a-f]{64}\b", "<HASH>"),
    (r"[A-Za-z0-9+/]{100,}={0,2}", "<BASE64>"),
    (r"\b[0-9A-F]{1,8}/[0-9A-F]{6,8}\b", "<LSN>"),
    # A system identifier of PostgreSQL: 64 bits that start with the time of initdb.
    (r"\b7\d{18}\b", "<SYSID>"),
    # Names made from generateName by convention gen-.
    (r"\bgen-[bcdfghjklmnpqrstvwxz2456789]{5}\b", "gen-<NAME>"),
    (r"\b\d+(?:\.\d+)?(?:ms|us|µs)\b", "<DURATION>"),
    # Ages of tables and events: a word of its own.
    (rf"(?<=\s)(?:<unknown>|{AGE})(?: \(x\d+ over {AGE}\))?(?=\s|$)", "<AGE>"),
    # What was replaced changed the width of columns.
    (r"(?<=\S) {3,}(?=\S)", "   "),
    (r"[ \t]+$", ""),
]]


def normalise(text):
    for name, label in (("WORK", "<WORK>"), ("PROJECT", "<PROJECT>")):
        folder = os.environ.get(name)
        if folder:
            text = text.replace(folder, label)
    for pattern, new in RULES:
        text = pattern.sub(new, text)
    return text


if __name__ == "__main__":
    sys.stdout.write(normalise(sys.stdin.read()))
