"""The benchmarks for accelerators, as far as they go without one."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "experiments/benchmarks"
BUNDLES = """
LB: loop body
     0   :  { %1 = smov 0 }
   0x1 LB: > { %2 = sadd.s32 1, %s } /* Start region 1 */
   0x2   : > { %3 = sbr.rel (%p) target = $region3 } /* Start region 2 */
  0x30   : > { %4 = vst [vmem:[#allocation3]] %v1 } /* End region 2 */
  0x31   : > { %5 = sbr.rel (%p) target = $region4 } /* Start region 3 */
  0x40   : > { %6 = vmatmul.f32.gmra.mxu0 %v1 }
  0x80   : > { %7 = vst [vmem:[#allocation4]] %v2 } /* End region 3 */
  0x81 PF: > { } /* Start/End empty region 4 */
  0x90   : > { %8 = sbr.rel (!%p) target = $region1 } /* End region 1 */
"""


@pytest.fixture(autouse=True)
def as_scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_bundles_are_told_apart(tmp_path):
    import bundles

    found = bundles.kernel(BUNDLES)
    assert (found.tile, found.row) == (0x80 - 0x31 + 1, 0x30 - 0x2 + 1)
    assert found.step == 0x90 - 0x1 + 1 - found.tile - found.row
    # Four steps in two rows, one of them skipped; and where memory is what a tile waits for.
    arithmetic = 4 * found.step + 3 * found.tile + 2 * found.row
    assert found.cycles(4, 3, 2) == arithmetic
    assert found.cycles(4, 3, 2, waiting=1e4) == found.step + 3e4 + 2 * found.row
    with pytest.raises(ValueError, match="no loop"):
        bundles.kernel("   0x1   :  { %1 = smov 0 }")
    (tmp_path / "17-splash_mqa_dq_no_residuals.1-01-final_bundles.txt").write_text(BUNDLES)
    (tmp_path / "17-copy.1-01-final_bundles.txt").write_text("")
    assert bundles.kernels(tmp_path) == {"splash_mqa_dq_no_residuals": found}
    assert not list(tmp_path.iterdir())


def test_arrays_with_both_lengths_are_found():
    import compiled_attention
    import jax
    import jax.numpy as jnp

    from attention_jax.functional import attend

    one = jax.ShapeDtypeStruct((2, 96, 2, 8), jnp.float32)

    def square(backend):
        program = jax.jit(lambda *x: attend(*x, backend=backend)).lower(one, one, one).compile()
        return compiled_attention.square(program.as_text(), 96)

    assert "f32[2,2,96,96]" in square("reference")
    text = "%f (p: f32[96,96]) -> f32[96] {\n %p = f32[96,96] parameter(0)\n}\n"
    assert compiled_attention.square(text, 96) == ["f32[96,96]"]
    called = "ENTRY %main () -> f32[96] {\n %r = f32[96] fusion(%c), calls=%f\n}\n"
    assert compiled_attention.square(text + called, 96) == []


def test_pairs_are_those_of_the_masks():
    import compiled_attention
    import numpy as np

    for name in compiled_attention.MASKS:
        mask, pairs = compiled_attention.mask_of(name, 2, 1_000)
        if mask is not None:
            seen = np.broadcast_to(np.asarray(mask.array(1_000, 1_000)), (2, 1, 1_000, 1_000))
            assert pairs == seen.sum(), name


def test_a_row_that_fails_hides_no_other(tmp_path, monkeypatch, capsys):
    import accelerator
    import jax.numpy as jnp

    def broken():
        raise RuntimeError("no | such kernel")

    def ones(flops):
        return lambda: jnp.ones(3), {"flops": flops}

    def section(smoke):
        yield accelerator.Work("attention", "broken", broken)
        for size in (1e4, 1e5):
            yield accelerator.Work("ceiling", f"{size}", partial(ones, size))
        yield accelerator.Work("attention", "whole", partial(ones, 1e3))

    out = tmp_path / "rows.jsonl"
    monkeypatch.setitem(accelerator.SECTIONS, "attention", section)
    command = ["accelerator", "--smoke", "--out", str(out), "--only", "attention"]
    monkeypatch.setattr(sys, "argv", command)
    accelerator.main()
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert "no | such kernel" in rows[0]["error"] and "rate" not in rows[0]
    best = max(row["rate"] for row in rows[1:3])
    assert rows[3]["share"] == pytest.approx(rows[3]["rate"] / best)
    assert "no / such kernel" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [*command, "--minutes", "0"])
    accelerator.main()
    assert all("no time" in json.loads(line)["error"] for line in out.read_text().splitlines())


@pytest.mark.slow
@pytest.mark.exhaustive
def test_everything_runs_on_a_cpu(environment, tmp_path):
    out = tmp_path / "rows.jsonl"
    command = [sys.executable, "experiments/benchmarks/accelerator.py", "--smoke", "--out", out]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    ran = {row["section"] for row in rows if "seconds" in row}
    assert ran == {"ceiling", "attention", "training", "population", "decoding"}
    assert not [row for row in rows if "error" in row]
    names = [row["name"] for row in rows if row["section"] == "attention"]
    assert all(any(name.startswith(one) for name in names) for one in ("jax.nn", "reference"))
    assert "chunked, causal & segments, K 64, T 64, forward + backward" in names
    assert "times as long as one of them" in done.stdout


@pytest.mark.slow
@pytest.mark.exhaustive
def test_depth_is_compared(environment, tmp_path):
    out = tmp_path / "rows.jsonl"
    command = [sys.executable, "experiments/benchmarks/depth.py", "--out", out, "--layers", "2"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    *rows, step = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert [(row["scan"], row["remat"]) for row in rows] == [
        (scan, remat) for remat in ("nothing", "products", "everything") for scan in (False, True)
    ]
    assert step["step"]["scanned"] > 0 and "scanned takes" in done.stdout
