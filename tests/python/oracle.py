"""Says of each source whether this Python compiles it. Asked over a pipe: a length, a line end, the bytes."""

import json
import sys
import sysconfig
import warnings

warnings.simplefilter("ignore")
print(json.dumps({"minor": sys.version_info[1], "stdlib": sysconfig.get_paths()["stdlib"]}), flush=True)
while True:
    length = sys.stdin.buffer.readline()
    if not length:
        break
    source = sys.stdin.buffer.read(int(length))
    try:
        compile(source, "source.py", "exec", dont_inherit=True)
        answer = None
    except BaseException as error:
        answer = "%s: %s" % (type(error).__name__, error)
    print(json.dumps(answer), flush=True)
