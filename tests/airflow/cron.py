"""Answers, for each line of standard input, whether croniter takes it, and first which croniter it is."""

import sys
from importlib.metadata import version

from croniter import croniter

print(version("croniter"))
for line in sys.stdin:
    try:
        croniter(line.rstrip("\n"))
        print("yes")
    except ValueError:
        print("no")
