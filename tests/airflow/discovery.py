"""Answers which files Airflow itself would load from a folder: one request a line, one answer a line, both JSON.

Also asks Airflow for the module name of each file, as it does before it loads one: that is where a name that is not UTF-8
stops it.
"""

import json
import os
import sys
import warnings

# Airflow logs to where we answer.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

from airflow.utils.file import get_unique_dag_module_name, list_py_file_paths  # noqa: E402

warnings.simplefilter("ignore")

for line in sys.stdin:
    request = json.loads(line)
    os.environ["AIRFLOW__CORE__DAG_IGNORE_FILE_SYNTAX"] = request["syntax"]
    top = request["folder"]
    try:
        files = [str(file) for file in list_py_file_paths(top, safe_mode=request["safe_mode"])]
        for file in files:
            get_unique_dag_module_name(file)
        answer = {"files": sorted(os.path.relpath(file, top) for file in files)}
    except Exception as error:
        answer = {"raised": f"{type(error).__name__}: {error}".encode("utf-8", "replace").decode()}
    print(json.dumps(answer), file=answers, flush=True)
