"""What Airflow's own database says: a line of JSON for each line on stdin.

    python times.py DATABASE

`parsed` is when each file was last parsed, `refreshed` when the folder was last looked through for files.
"""

import json
import sqlite3
import sys

database = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True, timeout=30)
for _ in sys.stdin:
    parsed = database.execute("SELECT relative_fileloc, max(last_parsed_time) FROM dag GROUP BY 1")
    refreshed = database.execute("SELECT max(last_refreshed) FROM dag_bundle")
    print(json.dumps({"parsed": dict(parsed), "refreshed": refreshed.fetchone()[0]}), flush=True)
