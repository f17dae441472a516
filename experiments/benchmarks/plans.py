"""What would known models take of TPU pods and of GPUs, none of which is here?

Command: python experiments/benchmarks/plans.py --out plans.jsonl [--tpu PYTHON] [--cuda PYTHON]

Compiles real training steps, one after the other, which takes minutes each; what stands in the file
is not compiled again. The compilers for TPUs and GPUs may be in environments of their own.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

GIB = 2**30
HALF = "--training.compute bfloat16"
BIG = f"--model.preset big {HALF} --length 128"
# Random bits that are not made apart, of "rbg", every device makes for all rows.
APART = f"{BIG} --training.rng threefry2x32"
DECODER = f"--decoder.preset 7b {HALF} --length 4096"

PLANS = {
    "base": f"--topology v5e:2x2 --mesh data=4 --model.preset base {HALF} --rows 256 --length 128",
    "big": f"--topology v5e:16x16 --mesh data=32,model=8 {BIG} --rows 4096",
    "big, bits apart": f"--topology v5e:16x16 --mesh data=32,model=8 {APART} --rows 4096",
    "big, 8 v5e, rbg": f"--topology v5e:8 --mesh data=8 {BIG} --rows 128",
    "big, 256 v5e, rbg": f"--topology v5e:256 --mesh data=256 {BIG} --rows 4096",
    "7b, 8 H200": f"--topology h200:8 --mesh fsdp=8 {DECODER} --rows 8",
    "7b, 64 H200": f"--topology h200:64 --mesh data=8,fsdp=8 {DECODER} --rows 64",
    "7b, 64 H200, one cut": f"--topology h200:64 --mesh fsdp=64 {DECODER} --rows 64",
    "7b, 4 v5p": f"--topology v5p:2x2x1 --mesh fsdp=4 {DECODER} --rows 4",
    "7b, 8 v5p": f"--topology v5p:2x2x2 --mesh fsdp=8 {DECODER} --rows 8",
    "7b, 64 v5p": f"--topology v5p:4x4x4 --mesh fsdp=64 {DECODER} --rows 64",
}

SCALING = {
    f"big, {n} v5e": f"--topology v5e:{n} --mesh data={n} {APART} --rows {16 * n}"
    for n in (8, 16, 32, 64, 128, 256)
}
"""The same rows a chip on more and more of them."""


def planned(words: str, python: str) -> dict:
    """The forecast of one plan, and the seconds that it took."""
    began = time.perf_counter()
    command = [python, "-m", "attention_jax", "plan", *words.split(), "--json"]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"{words}\n{run.stderr}")
    return json.loads(run.stdout) | {"wall_seconds": round(time.perf_counter() - began)}


def table(found: dict[str, dict]) -> str:
    """All plans as a Markdown table."""
    lines = [
        "| model | devices | mesh | rows x length | GiB a device | fits | step, at least | "
        "in collectives | share of peak | tokens/s, at most | compiled in |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for plan in found.values():
        memory = f"{plan['held'] / GIB:.1f} of {plan['memory'] / GIB:.1f}"
        timed = plan["seconds"] is not None
        times = [
            f"{plan['seconds'] * 1e3:.1f} ms",
            f"{plan['share_in_collectives']:.0%}",
            f"{plan['share_of_peak']:.0%}",
            f"{plan['tokens_per_second']:,.0f}",
        ]
        bits = "" if "threefry" in plan["options"] or plan["model"] == "7b" else ", rbg"
        cells = [
            plan["model"] + bits,
            plan["topology"],
            plan["mesh"],
            f"{plan['rows']:,} x {plan['length']:,}",
            memory,
            "yes" if plan["fits"] else "no",
            *(times if timed else [""] * 4),
            f"{plan['seconds_to_compile']:.0f} s",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def scaling(found: dict[str, dict]) -> str:
    """How much slower a step is on more chips, each with as many rows, as a Markdown table."""
    plans = [found[name] for name in SCALING if name in found]
    lines = [
        "| chips | step, nothing hidden | efficiency | step, all collectives hidden | efficiency |",
        "| --- | --- | --- | --- | --- |",
    ]

    def hidden(plan: dict) -> float:
        return max(plan[f"{part}_seconds"] for part in ("arithmetic", "memory", "collective"))

    for plan in plans:
        cells = [f"{plan['devices']}"]
        for seconds in (lambda plan: plan["seconds"], hidden):
            share = seconds(plans[0]) / seconds(plan)
            cells += [f"{seconds(plan) * 1e3:.2f} ms", f"{share:.1%}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Plans what the file lacks, and prints all that it holds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON lines")
    parser.add_argument("--tpu", default=sys.executable, help="a Python with libtpu")
    parser.add_argument("--cuda", default=sys.executable, help="a Python with JAX's CUDA plugin")
    parser.add_argument("--only", nargs="*", help="names of plans")
    options = parser.parse_args()
    text = options.out.read_text() if options.out.exists() else ""
    found = {plan["name"]: plan for plan in map(json.loads, text.splitlines())}
    for name, words in (PLANS | SCALING).items():
        if name in found or (options.only is not None and name not in options.only):
            continue
        python = options.cuda if "h200" in words else options.tpu
        found[name] = {"name": name, "options": words, **planned(words, python)}
        with options.out.open("a") as file:
            file.write(json.dumps(found[name]) + "\n")
        print(f"{name}: {found[name]['wall_seconds']} s", file=sys.stderr, flush=True)
    ordered = {name: found[name] for name in PLANS | SCALING if name in found}
    print(table(ordered), scaling(ordered), sep="\n\n")


if __name__ == "__main__":
    main()
