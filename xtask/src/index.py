"""Lays out wheels and sources as a static package index (PEP 503, with the metadata of PEP 658): index.py INDEX FILE..."""

import hashlib
import os
import re
import sys
import zipfile


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def add(index, wheel):
    name = os.path.basename(wheel)
    project = re.sub(r"[-_.]+", "-", name.split("-")[0]).lower()
    folder = os.path.join(index, project)
    os.makedirs(folder, exist_ok=True)
    copy = os.path.join(folder, name)
    os.symlink(os.path.abspath(wheel), copy)
    if not name.endswith(".whl"):
        with open(os.path.join(folder, "index.html"), "a") as page:
            page.write(f'<a href="{name}#sha256={digest(wheel)}">{name}</a><br>\n')
        return
    with zipfile.ZipFile(wheel) as archive:
        member = next(n for n in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", n))
        metadata = archive.read(member)
    with open(copy + ".metadata", "wb") as file:
        file.write(metadata)
    with open(os.path.join(folder, "index.html"), "a") as page:
        claim = f'data-core-metadata="sha256={hashlib.sha256(metadata).hexdigest()}"'
        page.write(f'<a href="{name}#sha256={digest(wheel)}" {claim}>{name}</a><br>\n')


index, *wheels = sys.argv[1:]
# A wheel may be in several sets.
for wheel in {os.path.basename(wheel): wheel for wheel in wheels}.values():
    add(index, wheel)
