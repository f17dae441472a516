"""What operations cost, out of a program's text: by hand, and against XLA's own account."""

import jax
import jax.numpy as jnp
import pytest

from attention_jax.analysis.hlo import Hlo


def program(function, *shapes):
    """A compiled function, and its text read."""
    compiled = jax.jit(function).lower(*(jnp.zeros(shape) for shape in shapes)).compile()
    return compiled, Hlo(compiled.as_text())


def scores(x, y):
    return jnp.einsum("bthk,bshk->bhts", x, y)


TEXT = """\
HloModule jit_f, is_scheduled=true

%fused (p.0: f32[2,3], p.1: f32[3]) -> f32[2] {
  %p.0 = f32[2,3]{1,0} parameter(0)
  %p.1 = f32[3]{0} parameter(1)
  %exp.1 = f32[2,3]{1,0:T(8,128)} exponential(%p.0)
  ROOT %dot.1 = f32[2]{0} dot(%exp.1, %p.1), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}

ENTRY %main (a.1: f32[2,3], b.1: f32[3]) -> (f32[2], /*index=1*/s32[]) {
  %a.1 = f32[2,3]{1,0} parameter(0)
  %b.1 = f32[3]{0} parameter(1)
  %fusion.1 = f32[2]{0} fusion(%a.1, %b.1), calls=%fused, metadata={op_name="jit(f)/dot"}
  %n.1 = s32[] constant(3)
  ROOT %both = (f32[2]{0}, /*index=1*/s32[]) tuple(%fusion.1, %n.1)
}
"""


def test_a_text_by_hand():
    hlo = Hlo(TEXT)
    assert hlo.flops("fusion.1") == 6 + 2 * 2 * 3
    assert hlo.bytes("fusion.1") == 4 * (6 + 3 + 2)
    assert hlo.instructions["fusion.1"].source == "jit(f)/dot"
    assert hlo.instructions["both"].reads == ("fusion.1", "n.1")
    assert [made.shape for made in hlo.instructions["both"].makes] == [(2,), ()]
    assert hlo.entry == ["a.1", "b.1", "fusion.1", "n.1", "both"]
    assert hlo.flops("both") == hlo.flops("a.1") == 0


@pytest.mark.parametrize(
    ("function", "shapes", "work"),
    [
        (lambda x, y: x @ y, [(64, 96), (96, 32)], 2 * 64 * 96 * 32),
        (
            lambda x, y: jnp.einsum("bthk,bshk->bhts", x, y),
            [(2, 8, 3, 16)] * 2,
            2 * 2 * 3 * 64 * 16,
        ),
        (jnp.exp, [(128, 64)], 128 * 64),
        (
            lambda x, y: jax.lax.conv_general_dilated(
                x, y, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
            ),
            [(2, 12, 12, 4), (3, 3, 4, 8)],
            2 * 2 * 10 * 10 * 8 * 9 * 4,
        ),
    ],
)
def test_work_is_that_of_the_formula(function, shapes, work):
    compiled, hlo = program(function, *shapes)
    found = sum(hlo.flops(name) for name in hlo.entry)
    assert found == pytest.approx(work, rel=0.01)
    if (said := compiled.cost_analysis().get("flops", 0)) > 0:
        assert found == pytest.approx(said, rel=0.01)


def test_a_loop_is_counted_by_the_operations_of_its_body():
    def loop(x):
        return jax.lax.fori_loop(0, 5, lambda _, x: x @ x, x)

    _, hlo = program(loop, (32, 32))
    products = [name for name in hlo.instructions if hlo.flops(name) == 2 * 32**3]
    assert products and not any(hlo.instructions[name].does == "parameter" for name in products)


def test_what_is_no_program():
    with pytest.raises(ValueError, match="that of a compiled program would fit"):
        Hlo("nothing at all")
