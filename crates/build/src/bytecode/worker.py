# Compiles modules for cartwheel: reads chunks of them from standard input, writes their code to standard output.
#
# Lengths are 32-bit little-endian numbers. A chunk is the number of its fields, then the fields, each behind its length: path and
# text of each module. The answer is the code of each, behind its length, which is 0 for what cannot be compiled.
#
# Each chunk is compiled by a child that has compiled nothing before: which constants of a module share one object, and so how
# they are written, depends in rare cases on what was compiled before.
import sys

sys.path[:] = [folder for folder in sys.path if folder]

import importlib.util
import marshal
import os
import struct
import warnings

warnings.simplefilter("ignore")
source, sink = sys.stdin.buffer, sys.stdout.buffer


def number():
    return struct.unpack("<I", source.read(4))[0]


def framed(data):
    return struct.pack("<I", len(data)) + data


def compiled(path, text):
    try:
        # Held by a name, as in py_compile: marshal writes an object that others hold as one that is referred to.
        code = compile(text, os.fsdecode(path), "exec", dont_inherit=True)
        return marshal.dumps(code)
    except Exception:
        return b""


def by_child(modules):
    end, start = os.pipe()
    child = os.fork()
    if not child:
        with os.fdopen(start, "wb") as out:
            for path, text in modules:
                out.write(framed(compiled(path, text)))
        os._exit(0)
    os.close(start)
    with os.fdopen(end, "rb") as answer:
        data = answer.read()
    return data if os.waitpid(child, 0)[1] == 0 else None


def main():
    implementation = sys.implementation
    version = ".".join(str(part) for part in implementation.version)
    hello = "{} {}".format(implementation.cache_tag or "", version)
    sink.write(framed(hello.encode()) + importlib.util.MAGIC_NUMBER)
    sink.flush()
    while source.peek(1):
        fields = [source.read(number()) for _ in range(number())]
        modules = list(zip(fields[::2], fields[1::2]))
        answer = by_child(modules)
        if answer is None:
            # A module that the interpreter does not survive is one that cannot be compiled.
            answer = b"".join(by_child([module]) or framed(b"") for module in modules)
        sink.write(answer)
        sink.flush()


main()
