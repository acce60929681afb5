"""Loads each file of a folder as Airflow does, and says what it found: one JSON object.

Every file in a bag of its own: what is wrong in one must not hide another. Nothing is read from a database.
"""

import json
import logging
import os
import sys
import warnings

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)

from airflow.dag_processing.dagbag import DagBag  # noqa: E402
from airflow.sdk.definitions._internal.contextmanager import DagContext, TaskGroupContext  # noqa: E402

# The first line of a file that changes Airflow itself, or ends its process.
ALONE = b"# in a process of its own"


def load_alone(path):
    readable, writable = os.pipe()
    if os.fork() == 0:
        os.write(writable, json.dumps(load(path)).encode())
        os._exit(0)
    os.close(writable)
    with os.fdopen(readable, "rb") as answer:
        text = answer.read()
    os.wait()
    return json.loads(text or '{"dags": {}, "edges": {}, "errors": ["it ended its process"]}')


def load(path):
    # What a file left open, as the process of its own would have ended by now.
    DagContext._context.clear()
    TaskGroupContext._context.clear()
    bag = DagBag(path, safe_mode=True)
    errors = [str(error).strip().splitlines()[-1] for error in bag.import_errors.values()]
    dags = {dag_id: sorted(dag.task_ids) for dag_id, dag in bag.dags.items()}
    edges = {
        dag_id: sorted([task.task_id, after] for task in dag.tasks for after in task.downstream_task_ids)
        for dag_id, dag in bag.dags.items()
    }
    return {"dags": dags, "edges": edges, "errors": errors}


folder = sys.argv[1]
sys.path.append(folder)
sys.setrecursionlimit(2000)
found = {}
for parent, _, names in sorted(os.walk(folder)):
    for name in sorted(names):
        if name.endswith(".py"):
            path = os.path.join(parent, name)
            with open(path, "rb") as source:
                alone = source.readline().startswith(ALONE)
            found[os.path.relpath(path, folder)] = (load_alone if alone else load)(path)
json.dump(found, sys.stdout)
sys.stdout.flush()
os._exit(0)
