"""Makes zips and loads each as Airflow does: what is wrong by zip and member, one JSON object.

Reads from standard input, as JSON, a list of zips: a name, and members with a name, bytes in hex, and how they are packed.
"""

import json
import logging
import os
import sys
import warnings
import zipfile

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)

from airflow.dag_processing.dagbag import DagBag  # noqa: E402

METHODS = {
    "stored": zipfile.ZIP_STORED,
    "deflated": zipfile.ZIP_DEFLATED,
    "bzip2": zipfile.ZIP_BZIP2,
    "lzma": zipfile.ZIP_LZMA,
}


class Pipe:
    """What cannot be sought in: sizes stand behind a member instead of before it."""

    def __init__(self, file):
        self.write, self.flush = file.write, file.flush


def make(path, wanted):
    with open(path, "wb") as file:
        file.write(bytes.fromhex(wanted["before"]))
        with zipfile.ZipFile(Pipe(file) if wanted["piped"] else file, "w") as out:
            for member in wanted["members"]:
                info = zipfile.ZipInfo(member["name"], (2026, 1, 1, 0, 0, 0))
                info.compress_type = METHODS[member["method"]]
                with out.open(info, "w", force_zip64=wanted["large"]) as to:
                    to.write(bytes.fromhex(member["bytes"]))
            out.comment = bytes.fromhex(wanted["comment"])
    with open(path, "r+b") as file:
        packed = file.read()
        for was, becomes in wanted["changes"]:
            packed = packed.replace(bytes.fromhex(was), bytes.fromhex(becomes))
        file.seek(0)
        file.write(packed)


def load(path):
    bag = DagBag(path, safe_mode=True)
    wrong = {}
    for at, error in bag.import_errors.items():
        at = str(at)
        member = os.path.relpath(at, path) if at.startswith(path) and at != path else ""
        wrong[member] = str(error).strip().splitlines()[-1]
    return {"dags": sorted(bag.dags), "errors": wrong}


folder = sys.argv[1]
found = {}
for wanted in json.load(sys.stdin):
    path = os.path.join(folder, wanted["name"])
    make(path, wanted)
    found[wanted["name"]] = load(path)
json.dump(found, sys.stdout)
sys.stdout.flush()
os._exit(0)
