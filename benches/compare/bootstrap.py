"""Runs a bootstrap of OpenFHE and one of hec-ckks in turn, one thread each, and prints the ratio of their times.

usage: python bootstrap.py [--rounds 1] [--peer-python PYTHON]

Build ours first: cargo bench -p hec-ckks --bench bootstrap --no-run
"""

import argparse
import json
import os
import re
import sys

from compare import HERE, built_bench, output


def theirs(python):
    return json.loads(output([python, os.path.join(HERE, "openfhe_bootstrap.py")]).splitlines()[-1])


def ours(bench):
    text = output([bench, "full", "--threads", "1"])
    number = r"(-?[\d.]+)"
    real = re.search(rf"Real on 1 threads: \S+ s, CPU {number} s, {number} levels left, .*mean {number},", text)
    peak = re.search(rf"peak memory {number} GiB", text)
    if not (real and peak):
        sys.exit(f"the bench prints something else:\n{text}")
    seconds, levels, log2_error = map(float, real.groups())
    return {"seconds": seconds, "bits": -log2_error, "levels": int(levels), "peak_gib": float(peak[1])}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--peer-python", default=sys.executable)
    args = parser.parse_args()
    bench, ratios = built_bench("bootstrap"), []
    print(f"{'':<9}{'seconds':>8}{'bits':>7}{'levels':>8}{'peak GiB':>10}")
    for _ in range(args.rounds):
        both = {"OpenFHE": theirs(args.peer_python), "hec": ours(bench)}
        for name, r in both.items():
            print(f"{name:<9}{r['seconds']:>8.2f}{r['bits']:>7.1f}{r['levels']:>8}{r['peak_gib']:>10.2f}", flush=True)
        ratios.append(both["OpenFHE"]["seconds"] / both["hec"]["seconds"])
    print(f"OpenFHE's time divided by ours: {', '.join(f'{ratio:.2f}' for ratio in ratios)}")


if __name__ == "__main__":
    main()
