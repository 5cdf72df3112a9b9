"""Writes the wheels and sources that the oracle's cases install: wheelhouse.py FOLDER. Small, and odd in every way that wheels may be."""

import base64
import hashlib
import io
import os
import sys
import tarfile
import zipfile

FOLDER = sys.argv[1]
EXECUTABLE = 0o755


def wheel(name, version, files, requires=(), tag="py3-none-any", build="", extras=(), python="", entry_points=""):
    """`files` has contents by name; a pair is content and mode."""
    stem = f"{name}-{version}"
    info = f"{stem}.dist-info"
    pure = "true" if tag.endswith("-any") else "false"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"]
    metadata += [f"Requires-Python: {python}\n"] if python else []
    metadata += [f"Provides-Extra: {extra}\n" for extra in extras]
    metadata += [f"Requires-Dist: {line}\n" for line in requires]
    members = {name: (content if isinstance(content, tuple) else (content, 0o644)) for name, content in files.items()}
    members[f"{info}/METADATA"] = ("".join(metadata), 0o644)
    members[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: oracle\nRoot-Is-Purelib: {pure}\nTag: {tag}\n"
        + (f"Build: {build}\n" if build else ""),
        0o644,
    )
    if entry_points:
        members[f"{info}/entry_points.txt"] = (entry_points, 0o644)
    record = []
    file_name = "-".join(part for part in (name, version, build, tag) if part) + ".whl"
    with zipfile.ZipFile(os.path.join(FOLDER, file_name), "w", zipfile.ZIP_DEFLATED) as archive:
        for member, (content, mode) in members.items():
            content = content.encode() if isinstance(content, str) else content
            put(archive, member, content, mode)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            quoted = f'"{member}"' if "," in member else member
            record.append(f"{quoted},sha256={digest},{len(content)}\n")
        record.append(f"{info}/RECORD,,\n")
        put(archive, f"{info}/RECORD", "".join(record).encode(), 0o644)


def put(archive, member, content, mode):
    entry = zipfile.ZipInfo(member, (2020, 2, 2, 0, 0, 0))
    entry.external_attr = (0o100000 | mode) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, content)


BACKEND = """
import base64, hashlib, io, os, zipfile

NAME, VERSION, REQUIRES, FAILS = %r

def metadata():
    return f"Metadata-Version: 2.1\\nName: {NAME}\\nVersion: {VERSION}\\n" + "".join(f"Requires-Dist: {line}\\n" for line in REQUIRES)

def build_wheel(folder, config_settings=None, metadata_directory=None):
    if FAILS:
        raise SystemExit("cannot be built")
    info = f"{NAME}-{VERSION}.dist-info"
    files = {
        f"{NAME}/__init__.py": open(f"{NAME}.py").read() + f"import sys; version = {VERSION!r}\\n",
        f"{info}/METADATA": metadata(),
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nGenerator: oracle\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        f"{info}/entry_points.txt": f"[console_scripts]\\n{NAME}-run = {NAME}:main\\n",
    }
    name = f"{NAME}-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        record = ""
        for path, text in files.items():
            archive.writestr(path, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += f"{path},sha256={digest},{len(text)}\\n"
        archive.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\\n")
    return name
"""


def source(name, version, requires=(), fails=False):
    """A source distribution that builds itself: no build system has to be fetched."""
    files = {
        f"{name}.py": "def main():\n    print(1)\n",
        "backend.py": BACKEND % ((name, version, list(requires), fails),),
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
    }
    with tarfile.open(os.path.join(FOLDER, f"{name}-{version}.tar.gz"), "w:gz") as archive:
        for path, text in files.items():
            entry = tarfile.TarInfo(f"{name}-{version}/{path}")
            entry.size, entry.mtime = len(text.encode()), 1_600_000_000
            archive.addfile(entry, io.BytesIO(text.encode()))


def package(name, version, **more):
    wheel(name, version, {f"{name}/__init__.py": f"version = '{version}'\n", f"{name}/part.py": "x = 1\n"}, **more)


os.makedirs(FOLDER)
console = "[console_scripts]\nalpha = alpha:main\n"
for version in ("1.0", "1.1", "2.0", "2.1b1"):
    package("alpha", version, entry_points=console)
package("beta", "1.0", requires=["alpha>=1", "gamma; extra == 'cli'", "delta; sys_platform == 'win32'"], extras=["cli"])
wheel(
    "gamma",
    "1.0",
    {
        "gamma.py": "x = 1\n",
        "gamma-1.0.data/purelib/gamma_pure.py": "x = 2\n",
        "gamma-1.0.data/platlib/gamma_plat.py": "x = 3\n",
        "gamma-1.0.data/headers/gamma.h": "#define X 1\n",
        "gamma-1.0.data/data/share/gamma/data.txt": "data\n",
        "gamma-1.0.data/data/etc/gamma.conf": "conf\n",
        "gamma-1.0.data/scripts/gamma-run": "#!python\nprint(1)\n",
        "gamma-1.0.data/scripts/gamma-window": "#!pythonw -s\nprint(1)\n",
        "gamma-1.0.data/scripts/gamma-shell": ("#!/bin/sh\necho 1\n", EXECUTABLE),
        "gamma-1.0.data/scripts/gamma-binary": (bytes(range(256)), EXECUTABLE),
    },
)
wheel("delta", "1.0", {"delta.py": "x = 1\n"})
wheel("ns_one", "1.0", {"ns/one/__init__.py": "", "ns/one/x.py": "x = 1\n"})
wheel("ns_two", "1.0", {"ns/two/__init__.py": ""})
wheel(
    "epsilon",
    "1.0",
    {"epsilon/__init__.py": "", "epsilon/core.cpython-313-x86_64-linux-gnu.so": (b"\x7fELF" + bytes(200), EXECUTABLE)},
    tag="cp313-cp313-manylinux_2_17_x86_64",
)
wheel("epsilon", "1.0", {"epsilon/__init__.py": ""}, tag="cp312-cp312-manylinux_2_17_x86_64")
wheel(
    "zeta",
    "1.0",
    {"zeta/__init__.py": ""},
    extras=["more"],
    entry_points="[console_scripts]\nzeta = zeta.cli:main\nzeta-sub=zeta.cli:Main.run\nzeta-more = zeta:more [more]\n"
    "zeta_Upper.case = zeta:a.b.c\n\n[gui_scripts]\nzeta-window = zeta.gui:main\n\n[other.group]\nx = zeta:x\n",
)
wheel(
    "eta",
    "1.0",
    {
        "eta/__init__.py": "",
        "eta/empty": "",
        "eta/with space.txt": "1\n",
        "eta/comma,name.txt": "1\n",
        "eta/größe.txt": "1\n",
        "eta/tool.sh": ("#!/bin/sh\n", EXECUTABLE),
        "eta/odd-mode": ("1\n", 0o600),
        "eta/readonly": ("1\n", 0o444),
        "eta/deep/er/and/deeper/x.txt": "1\n",
        "eta/.hidden": "1\n",
        "eta/py.typed": "",
        "eta/stub.pyi": "x: int\n",
        "eta/large.bin": bytes(300_000),
        "eta/not-python.py": "print 'two'\n",
        "eta-1.0.dist-info/licenses/LICENSE": "free\n",
        "eta-1.0.dist-info/licenses/vendored/LICENSE": "free\n",
        "eta-1.0.dist-info/top_level.txt": "eta\n",
    },
)
package("Iota_Pkg", "1.0.0")
package("Iota_Pkg", "1.0.0+local.1")
wheel("kappa", "1.0", {"kappa/__init__.py": "", "kappa/old.py": "", "kappa/sub/gone.py": "", "kappa_top.py": ""})
wheel("kappa", "2.0", {"kappa/__init__.py": "2\n", "kappa/new.py": ""})
for build in ("1", "2"):
    wheel("mu", "1.0", {"mu.py": f"build = {build}\n"}, build=build)
package("nu", "1.0")
package("nu", "2.0", python=">=3.14")
package("xi", "1.0", requires=["omicron==1.0; python_version >= '3.9'"])
for version in ("1.0", "1.1"):
    package("omicron", version)
wheel(
    "rho",
    "1.0",
    {
        "rho/__init__.py": "def f():\n    'Says.'\n    return {1, 2, 'x'} | frozenset(('a', 'b'))\n",
        "rho/empty.py": "",
        "rho/large.py": "".join(f"def f{n}(x):\n    return x in {{{n}, None, 'a{n}'}}\n" for n in range(30_000)),
        "rho/latin.py": "# coding: latin-1\nx = '\xe9'\n".encode("latin-1"),
        "rho/not_utf8.py": b"x = '\xe9'\n",
        "rho/null.py": b"x = 1\0\n",
        "rho/warns.py": "x = '\\d'\n",
        "rho/deep.py": "x = " + "(" * 300 + "1" + ")" * 300 + "\n",
        "rho/dotted.name.py": "x = 1\n",
        "rho-1.0.data/scripts/rho-tool.py": "#!python\nprint(1)\n",
        "rho-1.0.data/data/share/rho/plugin.py": "x = 1\n",
    },
)
package("pi_old", "1.0", requires=["alpha<2"])
source("sigma", "1.0", requires=["alpha<2", "delta"])
package("tau", "1.0")
source("tau", "2.0", requires=["delta"])
package("upsilon", "1.0", requires=["tau"])
package("phi", "1.0", requires=["tau<2"])
source("chi", "1.0", fails=True)
