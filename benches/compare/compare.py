"""Runs OpenFHE and hec-ckks in turn, several rounds, one thread each, and prints the ratios of their times.

usage: python compare.py [--rounds 3] [--peer-python PYTHON] [SET...]

Build ours first: cargo bench -p hec-ckks --bench primitives --no-run
"""

import argparse
import collections
import glob
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


def output(command):
    """What a command prints, on one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def lines(command):
    for line in output(command).splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def built_bench(name):
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    found = [p for p in glob.glob(os.path.join(target, "release", "deps", name + "-*")) if os.access(p, os.X_OK)]
    if not found:
        sys.exit(f"not built: run `cargo bench -p hec-ckks --bench {name} --no-run` first")
    return max(found, key=os.path.getmtime)


def least_of(record):
    return record.get("main_thread_min_ms", value_of(record)[1])


def value_of(record):
    for unit, key in (("ms", "main_thread_ms"), ("MiB", "mb"), ("log2", "log2")):
        if key in record:
            return unit, record[key]
    return None, None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("sets", nargs="*", default=["n13_d2", "n14_d7", "n15_d14_s45", "n16_d28_s45"])
    args = parser.parse_args()
    ours = [built_bench("primitives"), "--json", "--threads", "1"]
    peer = [args.peer_python, os.path.join(HERE, "openfhe_peer.py")]
    values = collections.defaultdict(lambda: {"openfhe": [], "hec": []})
    least = collections.defaultdict(lambda: {"openfhe": [], "hec": []})
    units = {}
    for set_name in args.sets:
        for _ in range(args.rounds):
            for command in (peer, ours):
                for record in lines(command + [set_name]):
                    unit, value = value_of(record)
                    if unit is not None and record.get("threads", 1) == 1:
                        key = (record["set"], record["op"])
                        units[key] = unit
                        values[key][record["peer"]].append(value)
                        least[key][record["peer"]].append(least_of(record))
    print(f"{'set':<14}{'operation':<24}{'OpenFHE':>9}{'':5}{'hec':>9}{'':5}{'ratio':>7}{'least':>7}")
    for key, both in values.items():
        if not (both["openfhe"] and both["hec"]):
            continue
        theirs, own = statistics.median(both["openfhe"]), statistics.median(both["hec"])
        ratio = f"{own - theirs:+.1f} b" if units[key] == "log2" else f"{theirs / own:.2f}"
        fastest = "" if units[key] == "log2" else f"{min(least[key]['openfhe']) / min(least[key]['hec']):.2f}"
        print(f"{key[0]:<14}{key[1]:<24}{theirs:>9.2f} {units[key]:<4}{own:>9.2f} {units[key]:<4}{ratio:>7}{fastest:>7}")


if __name__ == "__main__":
    main()
