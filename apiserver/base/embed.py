# SPDX-License-Identifier: Apache-2.0
"""Writes files as C arrays: embed.py OUT.c SYMBOL FILE...

SYMBOL becomes a table of struct embedded_file (base/embed.h). Runs at build time; nothing of it is needed later.
"""

import sys


def literal(data):
    lines = []
    for start in range(0, len(data), 20):
        lines.append("    " + ", ".join(str(b if b < 128 else b - 256) for b in data[start : start + 20]) + ",")
    return "\n".join(lines + ["    0,"])


def main(out, symbol, paths):
    parts = ['/* Made by embed.py. */\n#include "base/embed.h"\n']
    table = []
    for i, path in enumerate(paths):
        with open(path, "rb") as f:
            data = f.read()
        parts.append(f"static const char file_{i}[] = {{\n{literal(data)}\n}};")
        name = "/".join(path.replace("\\", "/").split("/")[-2:])
        table.append(f'    {{ S_INIT("{name}"), {{ file_{i}, sizeof(file_{i}) - 1 }} }},')
    table.append("    { { NULL, 0 }, { NULL, 0 } },")
    parts.append(f"extern const struct embedded_file {symbol}[];")
    parts.append(f"const struct embedded_file {symbol}[] = {{\n" + "\n".join(table) + "\n};\n")
    with open(out, "w", encoding="ascii") as f:
        f.write("\n".join(parts))


main(sys.argv[1], sys.argv[2], sys.argv[3:])
