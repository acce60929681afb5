"""A process that lives long and imports from the published tree, as Airflow's do; nobody tells its caches that anything changed.

    python3 importer.py LINK

Each line on stdin is a JSON object: every module that the tree has now, and its value. The answer is a line: `ok`, or what
is wrong.
"""

import importlib
import json
import sys


def follow(known, expected):
    for name in known.keys() - expected.keys():
        del known[name]
        # Airflow parses in a fork each time: modules are forgotten, what the import system knows of folders is not.
        sys.modules.pop(name, None)
    wrong = []
    for name, value in sorted(expected.items()):
        try:
            if name not in known:
                module = importlib.import_module(name)
            elif known[name] != value:
                module = importlib.reload(sys.modules[name])
            else:
                module = sys.modules[name]
            if module.VALUE != value:
                wrong.append(f"{name} is {module.VALUE!r} and not {value!r}")
        except Exception as error:
            wrong.append(f"{name}: {type(error).__name__}: {error}")
        known[name] = value
    return wrong


sys.path.insert(0, sys.argv[1])
known = {}
for line in sys.stdin:
    print("; ".join(follow(known, json.loads(line))) or "ok", flush=True)
