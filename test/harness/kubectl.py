#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kubectl.py DIR PROGRAM: finds the kubectl inside the one package in DIR, however deep it is wrapped, and puts it at PROGRAM."""
import io
import os
import sys
import tarfile
import zipfile


def members(name, stream):
    """Yields (path, open stream) of each file in an archive, or nothing when it is none."""
    if name.endswith((".whl", ".zip")):
        with zipfile.ZipFile(stream) as archive:
            for info in archive.infolist():
                yield info.filename, lambda info=info: archive.open(info)
    elif name.endswith((".tgz", ".tar.gz")):
        with tarfile.open(fileobj=stream, mode="r:gz") as archive:
            for info in archive:
                if info.isfile():
                    yield info.name, lambda info=info: archive.extractfile(info)


def find(name, stream, depth=3):
    for path, opened in members(name, stream):
        if os.path.basename(path) == "kubectl":
            data = opened().read()
            if data[:4] == b"\x7fELF":
                return data
        elif depth and path.endswith((".zip", ".tgz", ".tar.gz")):
            data = find(path, io.BytesIO(opened().read()), depth - 1)
            if data:
                return data
    return None


def main():
    folder, program = sys.argv[1:]
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb") as stream:
            data = find(name, stream)
        if data:
            with open(program + ".new", "wb") as out:
                out.write(data)
            os.chmod(program + ".new", 0o755)
            os.rename(program + ".new", program)
            return
    sys.exit("kubectl.py: no kubectl in " + folder)


main()
