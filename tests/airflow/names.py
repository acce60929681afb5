"""Answers, for each line of standard input, `module` or `module name`, whether Airflow can import it: `yes`, `no`, or why else not."""

import logging
import os
import sys
import warnings

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

import airflow  # noqa: E402, F401

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)

for line in sys.stdin:
    module, _, name = line.strip().partition(" ")
    try:
        exec(f"from {module} import {name}" if name else f"import {module}", {})
        answer = "yes"
    except ImportError:
        answer = "no"
    except Exception as error:
        answer = repr(error).replace("\n", " ")
    print(answer, file=answers, flush=True)
answers.close()
os._exit(0)
