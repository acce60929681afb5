#!/usr/bin/env python3
"""Writes what the targets begin with, out of the vectors in tests/data: FOLDER/NAME/*, or fuzz/corpus/NAME/*."""

import hashlib
import io
import json
import pathlib
import sys
import zipfile

here = pathlib.Path(__file__).resolve().parent
corpus = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here / "corpus"
vectors = here.parent / "tests" / "data"


def seed(target, data):
    folder = corpus / target
    folder.mkdir(parents=True, exist_ok=True)
    data = data if isinstance(data, bytes) else data.encode()
    (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


def lines(name):
    return [json.loads(line) for line in (vectors / name).read_text().splitlines()]


for vector in lines("python_syntax.jsonl") + lines("python_found.jsonl"):
    seed("syntax", vector["source"])

# A target, an ignore file and paths, as targets/ignore.rs reads them.
for name in ("airflowignore.json", "airflowignore-found.json"):
    for vector in json.loads((vectors / name).read_text())["vectors"]:
        for number, text in enumerate(vector["ignore_files"].values()):
            seed("ignore", bytes([number * 7 % 32]) + text.encode() + b"\0" + vector["path"].encode())

for vector in json.loads((vectors / "cron.json").read_text())["vectors"]:
    seed("cron", vector["expr"])

for text in (
    "a: 1\nb: [1, 2]\n",
    "x: &anchor {a: 1}\ny: *anchor\nz:\n  <<: *anchor\n",
    "%YAML 1.1\n---\na: !!python/tuple [1]\nb: |\n  text\n...\n",
    "? 'key'\n: \"value\\n\"\n- # comment\n",
    '{"a": [1, 2.5e3, true, null, "\\u00e9"]}\n',
    '{"a": }',
    "a: b: c\n",
):
    seed("data", text)

# Bytes that choose names, contents and links: any will do.
for number in range(32):
    seed("links", b"".join(hashlib.sha256(bytes([number, at])).digest() for at in range(1 + number)))

DAG = "from airflow import DAG\nDAG('a'"
for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
    for members in (["a.py"], ["a.py", "b/c.py", "b.pyc", "text.txt"], ["a.py", "a/__init__.py"]):
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", method) as out:
            for name in members:
                info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
                info.compress_type = method
                out.writestr(info, DAG)
            out.comment = b"comment" if len(members) > 1 else b""
        seed("archive", archive.getvalue())
