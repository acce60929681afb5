#!/usr/bin/env python3
"""Loads every DAG file of a folder in the Airflow that is installed (2.7 to 3.3), and prints what fails in dagsync's JSON.

    dagsync --check-command="/path/to/venv/bin/python /path/to/airflow-dagbag-check.py" …

Each file is loaded in a process of its own, with bounds on its time and memory that no file can lift. There is no database, and
no credential of Airflow's configuration is in the environment of a DAG file. A Variable or Connection that a file asks for while it
is loaded, and that nobody gave (AIRFLOW_VAR_…, AIRFLOW_CONN_…), is a warning: the rest of that file is not looked at.

Exit codes: 0 no error, 1 errors, 64 wrong usage, 75 the check could not run, which says nothing of the DAGs.
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
# The ids of a file's DAGs, and what is wrong with it.
LARGEST_ANSWER = 64 << 20
LARGEST_ERROR = 64 << 10
WRONG, USAGE, NO_ANSWER = 1, 64, 75
# Sections of the configuration that reach something, and names of options that may hold a credential.
PRIVATE = re.compile(
    r"^AIRFLOW__(DATABASE|CELERY\w*|SECRETS|API_AUTH|SMTP|KUBERNETES\w*|ELASTICSEARCH|OPENSEARCH|SENTRY|REMOTE_LOGGING)__"
    r"|KEY|SECRET|PASSWORD|TOKEN|CONN|CREDENTIAL|DSN|URL|_CMD$"
)
# The last line of what Airflow 3 and Airflow 2 raise when nobody has a Variable or Connection.
NOT_GIVEN = re.compile(
    r"(\S*\.)?(AirflowRuntimeError: (VARIABLE|CONNECTION)_NOT_FOUND\b"
    r"|AirflowNotFoundException: The conn_id `.*` isn't defined"
    r"|KeyError: ['\"]Variable .* does not exist)"
)


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: error: {message}\n")


def arguments():
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", default="", help="the DAGs folder, below the tree (as --check-folder)")
    parser.add_argument("--seconds", type=float, default=30, help="how long one file may take (default: 30)")
    parser.add_argument("--memory-mib", type=int, default=2048, help="address space of one file (default: 2048)")
    parser.add_argument("--jobs", type=int, default=min(4, os.cpu_count() or 1), help="files at a time")
    parser.add_argument("--strict", action="store_true", help="a missing Variable or Connection is an error")
    parser.add_argument("tree", help="the tree; dagsync adds it")
    options = parser.parse_args()
    options.folder = os.path.normpath(options.folder)
    if os.path.isabs(options.folder) or options.folder.split("/")[0] == "..":
        parser.error("--folder must be below the tree, and relative to it")
    return options


def is_private(name):
    return name.startswith("AIRFLOW__") and PRIVATE.search(name)


def without_credentials():
    """The same once more, with an environment that never had them: what is deleted from os.environ stays in /proc/self/environ."""
    if any(is_private(name) for name in os.environ):
        clean = {name: value for name, value in os.environ.items() if not is_private(name)}
        words = getattr(sys, "orig_argv", [sys.executable, *sys.argv])
        os.execve(sys.executable, [sys.executable, *words[1:]], clean)


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
        # Deep enough to name the line of the DAG file.
        AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACK_DEPTH="50",
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
        errors = [str(text)[-LARGEST_ERROR:] for text in bag.import_errors.values()]
        return {"errors": errors, "dags": sorted(bag.dags)}
    except BaseException:  # SystemExit too: a file that ends the process is no DAG file
        return {"errors": [traceback.format_exc()[-LARGEST_ERROR:]], "dags": []}


def bound(limit, most):
    """Bounds that are there already are not lifted."""
    _, hard = resource.getrlimit(limit)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(limit, (most, most))


class Child:
    """One file that is being loaded."""

    def __init__(self, path, options, work):
        self.path = path
        self.until = time.monotonic() + options.seconds
        self.answer = bytearray()
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
            # Whoever reads the report would wait for what a DAG file leaves running.
            os.close(options.report)
            nowhere = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(nowhere, stream)
            bound(resource.RLIMIT_CPU, int(options.seconds) + 1)
            bound(resource.RLIMIT_AS, options.memory_mib << 20)
            bound(resource.RLIMIT_CORE, 0)
            mine = os.getpid()
            found = work(path)
            # A file may have forked: who comes back here then is not who was asked.
            if os.getpid() == mine:
                with os.fdopen(ours, "wb") as answer:
                    answer.write(json.dumps(found).encode() + b"\n")
        finally:
            os._exit(0)

    def read(self):
        """Whether there is more to come."""
        try:
            part = os.read(self.pipe, 1 << 16)
        except BlockingIOError:
            return True
        self.answer += part
        # Its line is whole, or it will never be. Who holds the pipe open after that is not waited for.
        return bool(part) and not part.endswith(b"\n") and len(self.answer) <= LARGEST_ANSWER

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
        if len(self.answer) > LARGEST_ANSWER:
            return f"the ids of its DAGs take more than {LARGEST_ANSWER >> 20} MiB"
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


def finding(path, line, code, message, severity="error", hint=None):
    keys = ("path", "line", "column", "severity", "code", "message", "hint")
    return dict(zip(keys, (path, line, 0, severity, code, message, hint)))


def findings(answers, folder, options):
    found, owners = [], {}
    for path, answer in sorted(answers.items()):
        # As dagsync has them: from the top of the tree.
        shown = os.path.normpath(os.path.join(options.folder, os.path.relpath(path, folder)))
        for error in answer["errors"]:
            places = re.findall(rf'File "{re.escape(path)}", line (\d+)', error)
            line = int(places[-1]) if places else 0
            last = (error.strip().splitlines() or ["it cannot be loaded"])[-1].strip()
            if NOT_GIVEN.match(last) and not options.strict:
                hint = "give the check a value, in AIRFLOW_VAR_… or AIRFLOW_CONN_…: without it the file cannot be looked at"
                found.append(finding(shown, line, "command", last, "warning", hint))
            else:
                found.append(finding(shown, line, "command", last))
        for dag_id in answer["dags"]:
            first = owners.setdefault(dag_id, shown)
            if first != shown:
                found.append(finding(shown, 0, "duplicate-dag-id", f"the DAG `{dag_id}` is in `{first}` too"))
    return found


def check(options, scratch):
    folder = os.path.realpath(os.path.join(options.tree, options.folder))
    if not os.path.isdir(folder):
        wrong = finding(options.folder, 0, "command", "the DAGs folder is not there, or is no folder")
        return {"version": 1, "dag_files": 0, "findings": [wrong]}
    prepare_environment(folder, scratch)
    dag_bag, list_paths, safe_mode = load_airflow()
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        paths = sorted(list_paths(folder, safe_mode=safe_mode))
    except (OSError, MemoryError):
        raise
    except Exception as error:  # of the tree: a loop of links, an ignore file that no Airflow reads
        wrong = finding(options.folder, 0, "command", f"its files cannot be listed: {error}")
        return {"version": 1, "dag_files": 0, "findings": [wrong]}
    answers = run(paths, options, lambda path: load(dag_bag, path, safe_mode))
    return {"version": 1, "dag_files": len(paths), "findings": findings(answers, folder, options)}


def main():
    options = arguments()
    try:
        without_credentials()
    except Exception:
        traceback.print_exc()
        return NO_ANSWER
    # Airflow logs to stdout when it likes to: that is for the answer alone.
    options.report = os.dup(1)
    stdout = os.fdopen(options.report, "w")
    os.dup2(2, 1)
    scratch = None
    try:
        scratch = scratch_folder()
        report = check(options, scratch)
    except BaseException:
        traceback.print_exc()
        return NO_ANSWER
    finally:
        if scratch:
            shutil.rmtree(scratch, ignore_errors=True)
    json.dump(report, stdout)
    stdout.flush()
    return WRONG if any(it["severity"] == "error" for it in report["findings"]) else 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # Threads of Airflow's plugins must not hold up the answer.
    os._exit(code)
