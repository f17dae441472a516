"""A library for the server: it counts, sleeps, fails and dies as its cases say."""

import os
import sys
import time

from experiments.benchmarks.bench.prepared import Prepared, unknown


def prepare(contender, case):
    if contender not in ("right", "wrong"):
        raise unknown(contender, ("right", "wrong"))
    if case.get("dies") == "early":
        print("this line is its last", file=sys.stderr, flush=True)
        os._exit(7)
    calls = [0]

    def call():
        calls[0] += 1
        print("what a library prints must not reach the protocol")
        if case.get("dies") == "late" and calls[0] > 2:
            os._exit(9)
        taken = bytearray(case.get("mebibytes", 0) << 20)
        taken[::4096] = b"x" * len(taken[::4096])
        time.sleep(case.get("sleep", 0) * (2 if contender == "wrong" else 1))
        return calls[0]

    def look(result):
        return [1.0, 2.0 if contender == "right" else 3.0]

    return Prepared(call, look, f"fake {contender}", ahead=case.get("ahead", True))
