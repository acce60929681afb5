#!/usr/bin/env python3
"""Loads every DAG file of a folder in the Airflow that is installed (2.7 to 3.3), and prints what fails in dagsync's JSON.

    dagsync --check-command="/path/to/venv/bin/python /path/to/airflow-dagbag-check.py" …

Each file is loaded in a process of its own, with bounds on its time and memory that no file can lift. There is no database, and
no credential of Airflow's configuration is in the environment of a DAG file.

Exit codes: 0 nothing is wrong, 1 something is, 2 the check could not run.
"""

import argparse
import collections
import gc
import json
import logging
import os
import re
import resource
import selectors
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings

SCRATCH = "dagsync-dagbag-"
# A check that is killed cannot tidy up; the next one does.
STALE_SECONDS = 3600
LARGEST_ANSWER = 1 << 20
# Sections of the configuration that reach something, and names of options that may hold a credential.
PRIVATE = re.compile(
    r"^AIRFLOW__(DATABASE|CELERY\w*|SECRETS|API_AUTH|SMTP|KUBERNETES\w*|ELASTICSEARCH|OPENSEARCH|SENTRY|REMOTE_LOGGING)__"
    r"|KEY|SECRET|PASSWORD|TOKEN|CONN|URL|_CMD$"
)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", default="", help="the DAGs folder, below the tree (as --check-folder)")
    parser.add_argument("--seconds", type=float, default=30, help="how long one file may take (default: 30)")
    parser.add_argument("--memory-mib", type=int, default=2048, help="address space of one file (default: 2048)")
    parser.add_argument("--jobs", type=int, default=min(4, os.cpu_count() or 1), help="files at a time")
    parser.add_argument("tree", help="the tree; dagsync adds it")
    return parser.parse_args()


def scratch_folder():
    parent = tempfile.gettempdir()
    for entry in os.scandir(parent):
        if entry.name.startswith(SCRATCH) and entry.is_dir(follow_symlinks=False):
            info = entry.stat(follow_symlinks=False)
            if info.st_uid == os.getuid() and time.time() - info.st_mtime > STALE_SECONDS:
                shutil.rmtree(entry.path, ignore_errors=True)
    return tempfile.mkdtemp(prefix=SCRATCH)


def prepare_environment(folder, scratch):
    """Before Airflow is imported: it reads all of this once."""
    home = os.environ.get("AIRFLOW_HOME", "")
    for name in [name for name in os.environ if name.startswith("AIRFLOW__") and PRIVATE.search(name)]:
        del os.environ[name]
    os.environ.pop("AIRFLOW_CONFIG", None)
    if os.path.isdir(os.path.join(home, "plugins")):
        os.environ.setdefault("AIRFLOW__CORE__PLUGINS_FOLDER", os.path.join(home, "plugins"))
    if os.path.isdir(os.path.join(home, "config")):
        sys.path.append(os.path.join(home, "config"))
    os.environ.update(
        AIRFLOW_HOME=scratch,
        AIRFLOW__CORE__DAGS_FOLDER=folder,
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
        AIRFLOW__CORE__UNIT_TEST_MODE="False",
        # A place where no database can be made.
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN="sqlite:////proc/nonexistent/airflow.db",
    )
    sys.dont_write_bytecode = True
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)


def load_airflow():
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:
        from airflow.models.dagbag import DagBag
    from airflow.configuration import conf
    from airflow.utils.file import list_py_file_paths

    # What every DAG file needs is loaded here once, and not again in each process, on the time of the file.
    try:
        from airflow.sdk import DAG  # noqa: F401
    except ImportError:
        from airflow import DAG  # noqa: F401
    return DagBag, list_py_file_paths, conf.getboolean("core", "dag_discovery_safe_mode", fallback=True)


def load(dag_bag, path, safe_mode):
    """In a process of its own: the errors of one file, and its DAGs."""
    try:
        bag = dag_bag(path, safe_mode=safe_mode)
        return {"errors": [str(text) for text in bag.import_errors.values()], "dags": sorted(bag.dags)}
    except BaseException:  # SystemExit too: a file that ends the process is no DAG file
        return {"errors": [traceback.format_exc()], "dags": []}


class Child:
    """One file that is being loaded."""

    def __init__(self, path, options, work):
        self.path = path
        self.until = time.monotonic() + options.seconds
        self.answer = b""
        self.late = False
        self.pipe, ours = os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(ours)
            os.set_blocking(self.pipe, False)
            return
        # Nothing from here on may come back to the caller.
        try:
            os.close(self.pipe)
            nowhere = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(nowhere, stream)
            cpu = int(options.seconds) + 1
            resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
            memory = options.memory_mib << 20
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            with os.fdopen(ours, "wb") as answer:
                answer.write(json.dumps(work(path)).encode())
        finally:
            os._exit(0)

    def read(self):
        """Whether there is more to come."""
        try:
            part = os.read(self.pipe, 1 << 16)
        except BlockingIOError:
            return True
        self.answer += part
        return bool(part) and len(self.answer) <= LARGEST_ANSWER

    def end(self):
        os.close(self.pipe)
        # It cannot be caught, and does no harm to who has ended.
        os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        try:
            return json.loads(self.answer)
        except ValueError:
            return {"errors": [self.death(status)], "dags": []}

    def death(self, status):
        if self.late:
            return "the file was not loaded in time"
        if os.WIFSIGNALED(status):
            name = signal.Signals(os.WTERMSIG(status)).name
            return f"the process that loaded the file was killed by {name}: out of memory, or a crash in a library"
        return "the file ended the process that loaded it"


def run(paths, options, work):
    """The answer for each path."""
    waiting, answers = collections.deque(paths), {}
    selector, running = selectors.DefaultSelector(), set()
    # What is there already is not copied when a child counts references.
    gc.freeze()
    while waiting or running:
        while waiting and len(running) < max(1, options.jobs):
            child = Child(waiting.popleft(), options, work)
            running.add(child)
            selector.register(child.pipe, selectors.EVENT_READ, child)
        first = min(child.until for child in running)
        ready = [key.data for key, _ in selector.select(max(0, first - time.monotonic()))]
        done = [child for child in ready if not child.read()]
        for child in running:
            if child not in done and time.monotonic() >= child.until:
                child.late = True
                done.append(child)
        for child in done:
            selector.unregister(child.pipe)
            running.remove(child)
            answers[child.path] = child.end()
    return answers


def finding(path, line, code, message):
    return {"path": path, "line": line, "column": 0, "severity": "error", "code": code, "message": message, "hint": None}


def findings(answers, folder):
    found, owners = [], {}
    for path, answer in sorted(answers.items()):
        shown = os.path.relpath(path, folder)
        for error in answer["errors"]:
            places = re.findall(rf'File "{re.escape(path)}", line (\d+)', error)
            lines = error.strip().splitlines() or ["it cannot be loaded"]
            found.append(finding(shown, int(places[-1]) if places else 0, "command", lines[-1].strip()))
        for dag_id in answer["dags"]:
            first = owners.setdefault(dag_id, shown)
            if first != shown:
                found.append(finding(shown, 0, "duplicate-dag-id", f"the DAG `{dag_id}` is in `{first}` too"))
    return found


def check(options, scratch):
    folder = os.path.realpath(os.path.join(options.tree, options.folder))
    if not os.path.isdir(folder):
        raise NotADirectoryError(f"`{folder}` is not a folder")
    prepare_environment(folder, scratch)
    dag_bag, list_paths, safe_mode = load_airflow()
    if folder not in sys.path:
        sys.path.append(folder)
    paths = sorted(list_paths(folder, safe_mode=safe_mode))
    answers = run(paths, options, lambda path: load(dag_bag, path, safe_mode))
    return {"version": 1, "dag_files": len(paths), "findings": findings(answers, folder)}


def main():
    options = arguments()
    # Airflow logs to stdout when it likes to: that is for the answer alone.
    stdout = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    scratch = scratch_folder()
    try:
        report = check(options, scratch)
    except BaseException:
        traceback.print_exc()
        return 2
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    json.dump(report, stdout)
    stdout.flush()
    return 1 if report["findings"] else 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # Threads of Airflow's plugins must not hold up the answer.
    os._exit(code)
