"""A reader as Airflow is one: walks the published tree, hashes its files, imports from it.

    python3 reader.py LINK PROGRESS STOP

PROGRESS holds a number that is odd while a pass runs. The reader ends well once STOP exists, and with a message and
status 1 as soon as it sees anything but one whole commit.
"""

import hashlib
import importlib
import os
import sys


def whole(tree):
    """The number of the one commit that all files of a tree are of."""
    numbers, found = set(), {}
    for folder, folders, names in os.walk(tree, onerror=fail):
        # Caches are what readers themselves leave.
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in names:
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, tree)
            if relative in (".git", "MANIFEST"):
                continue
            with open(path, "rb") as file:
                content = file.read()
            found[relative] = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            numbers.add(int(content.split(b"\n")[0].split(b" = ")[1]))
    with open(os.path.join(tree, "MANIFEST")) as file:
        said = dict(reversed(line.rstrip("\n").split(" ", 1)) for line in file)
    if found != said:
        wrong = sorted(path for path in found.keys() | said.keys() if found.get(path) != said.get(path))
        fail(f"{tree}: not the files of the manifest: {wrong}")
    with open(os.path.join(tree, ".git")) as file:
        admin = file.read().strip().removeprefix("gitdir: ")
    with open(os.path.join(tree, admin, "index"), "rb") as file:
        entries = int.from_bytes(file.read(12)[8:], "big")
    if entries != len(found) + 1:
        fail(f"{tree}: git's index has {entries} entries, the tree {len(found) + 1}")
    if len(numbers) != 1:
        fail(f"{tree}: files of the commits {sorted(numbers)}")
    return numbers.pop()


def imported(tree):
    """The number of the one commit that all modules are of."""
    sys.path.insert(0, tree)
    # A tree of its own is a path of its own: nothing that an earlier pass knew helps or harms.
    importlib.invalidate_caches()
    try:
        package = importlib.import_module("pipelines")
        return package.number_of_all()
    finally:
        sys.path.remove(tree)
        for name in [name for name in sys.modules if name.split(".")[0] == "pipelines"]:
            del sys.modules[name]
        sys.path_importer_cache.clear()


def fail(reason):
    print(f"python reader: {reason}", file=sys.stderr)
    sys.exit(1)


def main(link, progress, stop):
    passes, last = 0, 0
    with open(progress, "r+b", buffering=0) as file:
        while not os.path.exists(stop):
            os.pwrite(file.fileno(), (2 * passes + 1).to_bytes(8, "little"), 0)
            tree = os.path.realpath(link, strict=True)
            number = whole(tree)
            if (modules := imported(tree)) != number:
                fail(f"{tree}: files of commit {number}, modules of {modules}")
            if number < last:
                fail(f"commit {number} after {last}")
            passes, last = passes + 1, number
            os.pwrite(file.fileno(), (2 * passes).to_bytes(8, "little"), 0)


main(*sys.argv[1:])
