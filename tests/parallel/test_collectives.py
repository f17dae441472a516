"""What is read from compiled programs: loops, collectives, groups, what is moved."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from jax.sharding import PartitionSpec as P

from attention_jax.parallel.arithmetic import matrix_flops
from attention_jax.parallel.collectives import collectives, summed
from attention_jax.parallel.hlo import Program, size
from attention_jax.parallel.layout import Layout
from attention_jax.parallel.traffic import moved

# As XLA writes programs: {} stands for the loop's own word on how often it runs.
LOOP = """HloModule jit_step, num_partitions=8

%cond (c: (s32[], f32[4,8])) -> pred[] {{
  %c = (s32[], f32[4,8]{{1,0}}) parameter(0)
  %limit = s32[]{{:T(128)}} constant(6)
  %i = s32[] get-tuple-element(%c), index=0
  ROOT %lt = pred[] compare(%i, %limit), direction=LT
}}

%body (b: (s32[], f32[4,8])) -> (s32[], f32[4,8]) {{
  %b = (s32[], f32[4,8]{{1,0:T(8,128)S(1)}}) parameter(0)
  %x = f32[4,8]{{1,0:T(8,128)}} get-tuple-element(%b), index=1
  %start = ((f32[4,8]), f32[4,8]) all-reduce-start(%x), channel_id=1, replica_groups=[2,4]<=[8]
  %sum = f32[4,8]{{1,0}} all-reduce-done(%start)
  ROOT %t = (s32[], f32[4,8]{{1,0}}) tuple(%i, %sum)
}}

ENTRY %main (p: f32[4,8]) -> f32[4,8] {{
  %p = f32[4,8]{{1,0}} parameter(0)
  %loop = (s32[], f32[4,8]{{1,0}}) while(%t), condition=%cond, body=%body{}
  ROOT %out = f32[4,8]{{1,0}} get-tuple-element(%loop), index=1
}}
"""


@pytest.mark.parametrize("said, times, known", [
    (', backend_config={"known_trip_count":{"n":"5"}}', 5, True),
    ("", 6, True),
])  # fmt: skip
def test_a_loop_counts_as_often_as_it_runs(said, times, known):
    (found,) = collectives(Program.parse(LOOP.format(said)), 8)
    assert (found.kind, found.times, found.known, found.given) == ("all-reduce", times, known, 128)
    assert found.groups == ((0, 1, 2, 3), (4, 5, 6, 7))
    assert found.sent == times * 128 * 2 * 3 / 4


def test_a_loop_without_a_known_end_counts_once_and_says_so():
    text = LOOP.format("").replace("direction=LT", "direction=NE")
    (found,) = collectives(Program.parse(text), 8)
    assert (found.times, found.known) == (1, False)


def one(operation):
    text = f"""
%add (a: f32[], b: f32[]) -> f32[] {{
  ROOT %c = f32[] add(%a, %b)
}}

ENTRY %main (x: bf16[16,32]) -> bf16[16,32] {{
  %x = bf16[16,32]{{1,0:T(8,128)(2,1)}} parameter(0)
  ROOT %y = {operation}
}}
"""
    (found,) = collectives(Program.parse(text), 8)
    return found


@pytest.mark.parametrize("groups, found", [
    ("{{0,2},{1,3}}", ((0, 2), (1, 3))),
    ("[2,4]<=[8]", ((0, 1, 2, 3), (4, 5, 6, 7))),
    ("[4,2]<=[2,2,2]T(2,1,0)", ((0, 4), (2, 6), (1, 5), (3, 7))),
    ("mesh['data'=2,'fsdp'=2,'model'=2,'sequence'=1] {'data','fsdp'}",
     ((0, 2, 4, 6), (1, 3, 5, 7))),
    ("mesh['data'=2,'fsdp'=2,'model'=2] {'model'}", ((0, 1), (2, 3), (4, 5), (6, 7))),
    ("{}", (tuple(range(8)),)),
])  # fmt: skip
def test_groups_are_read_in_every_spelling(groups, found):
    reduced = one(f"bf16[16,32] all-reduce(%x), replica_groups={groups}, to_apply=%add")
    assert reduced.groups == found


@pytest.mark.parametrize("operation, sent", [
    ("bf16[16,32] all-reduce(%x), replica_groups=[2,4]<=[8]", 1024 * 3 / 2),
    ("bf16[64,32] all-gather(%x), replica_groups=[2,4]<=[8], dimensions={0}", 1024 * 3),
    ("bf16[4,32] reduce-scatter(%x), replica_groups=[2,4]<=[8], dimensions={0}", 1024 * 3 / 4),
    ("bf16[16,32] all-to-all(%x), replica_groups=[2,4]<=[8], dimensions={0}", 1024 * 3 / 4),
    ("bf16[16,32] collective-permute(%x), source_target_pairs={{0,1},{1,0}}", 1024),
    ("(bf16[16,32], bf16[16,32], u32[], u32[]) collective-permute-start(%x), "
     "source_target_pairs={{0,1},{1,0}}", 1024),
    ("bf16[16,32] all-reduce(%x), replica_groups=[8,1]<=[8]", 0),
])  # fmt: skip
def test_what_a_device_sends(operation, sent):
    assert one(operation).sent == sent


def test_what_runs_beside_other_work_counts_once():
    piece = """
%async_collective_fusion.{0} (p: f32[8]) -> f32[16] {{
  %p = f32[8] parameter(0)
  ROOT %g.{0} = f32[16] all-gather(%p), channel_id=7, replica_groups=[4,2]<=[8], dimensions={{0}}
}}
"""
    entry = """
ENTRY %main (x: f32[8]) -> f32[16] {
  %x = f32[8] parameter(0)
  %a = f32[16] fusion(%x), kind=kCustom, calls=%async_collective_fusion.1
  %b = f32[16] fusion(%x), kind=kOutput, calls=%async_collective_fusion.2
  ROOT %c = f32[16] fusion(%x), kind=kCustom, calls=%async_collective_fusion.3
}
"""
    text = "".join(piece.format(number) for number in (1, 2, 3)) + entry
    found = collectives(Program.parse(text), 8)
    assert [(each.kind, each.given) for each in found] == [("all-gather", 32)]
    apart = text.replace("channel_id=7, replica_groups=[4,2]<=[8], dimensions={0}", "", 1)
    assert len(collectives(Program.parse(apart), 8)) == 2


def test_a_sum_of_which_each_keeps_a_part_is_a_reduce_scatter():
    text = """
%all-reduce-scatter.1 (p: f32[16]) -> f32[8] {
  %p = f32[16] parameter(0)
  %r = f32[16] all-reduce(%p), channel_id=9, replica_groups=[4,2]<=[8], to_apply=%add
  ROOT %s = f32[8] dynamic-slice(%r, %n), dynamic_slice_sizes={8}
}

ENTRY %main (x: f32[16]) -> f32[8] {
  %x = f32[16] parameter(0)
  ROOT %f = f32[8] fusion(%x), kind=kCustom, calls=%all-reduce-scatter.1
}
"""
    assert summed(collectives(Program.parse(text), 8)) == {
        "reduce-scatter": {"count": 1, "bytes": 32}
    }


@pytest.mark.parametrize("shape, bytes", [
    ("f32[]", 4),
    ("pred[3,5]{1,0}", 15),
    ("bf16[1,2048,1024]{2,1,0:T(8,128)(2,1)}", 2 * 2048 * 1024),
    ("(s32[2]{0}, f8e4m3fn[10], s4[3], c64[2], token[])", 8 + 10 + 2 + 16),
])  # fmt: skip
def test_sizes(shape, bytes):
    assert size(shape) == bytes


def test_what_is_in_a_cache_is_not_stored():
    assert size("(f32[8]{0:T(128)S(1)}, f32[4]{0:T(128)})", stored=True) == 16


def compiled_ring():
    """A scan of five permutes and one sum of each kind, over 4 of 8 real programs' devices."""
    mesh = Layout(data=2, sequence=4).mesh()
    ring = [(i, (i + 1) % 4) for i in range(4)]

    @partial(jax.shard_map, mesh=mesh, in_specs=P("sequence"), out_specs=P(), check_vma=False)
    def step(x):
        x = lax.scan(lambda x, _: (lax.ppermute(x, "sequence", ring), None), x, length=5)[0]
        whole = lax.all_gather(x, "sequence", tiled=True)
        return lax.psum(whole.sum(), "sequence")

    return jax.jit(step).lower(jnp.ones((32, 64))).compile()


def test_a_program_that_this_compiler_made():
    found = summed(collectives(Program.parse(compiled_ring().as_text()), 8))
    part = 8 * 64 * 4
    assert found["collective-permute"] == {"count": 5, "bytes": 5 * part}
    assert found["all-gather"] == {"count": 1, "bytes": 3 * part}
    assert found["all-reduce"] == {"count": 1, "bytes": 4 * 2 * 3 / 4}


def test_what_a_loop_over_slices_moves():
    """Each turn of a scan reads a slice of what it runs over, not all of it."""
    rows, width = 64, 4096

    def total(x):
        return lax.scan(lambda s, row: (jnp.sin(s + row), None), jnp.zeros(width), x)[0]

    compiled = jax.jit(total).lower(jnp.ones((rows, width))).compile()
    found = moved(Program.parse(compiled.as_text()))
    assert rows * width * 4 <= found <= 6 * rows * width * 4


def test_what_is_changed_in_place_and_what_lies_in_a_cache():
    text = """
%change (a: f32[9,8], b: f32[8], i: s32[]) -> f32[9,8] {
  %a = f32[9,8] parameter(0)
  %b = f32[8] parameter(1)
  %i = s32[] parameter(2)
  %row = f32[1,8] bitcast(%b)
  %whole = f32[9,8] bitcast(%a)
  ROOT %new = f32[9,8] dynamic-update-slice(%whole, %row, %i, %i)
}

ENTRY %main (x: f32[9,8], y: f32[8], i: s32[]) -> f32[9,8] {
  %x = f32[9,8] parameter(0)
  %y = f32[8]{0:T(128)S(1)} parameter(1)
  %i = s32[] parameter(2)
  %z = f32[8]{0:T(128)} copy(%y)
  ROOT %f = f32[9,8] fusion(%x, %z, %i), kind=kLoop, calls=%change
}
"""
    copied, row, place = 32, 32, 4
    assert moved(Program.parse(text)) == copied + (row + place) + row


def test_matrix_flops_by_hand():
    def layers(x, kernels):
        def layer(x, kernel):
            return jnp.tanh(x @ kernel), None

        x = lax.scan(layer, x, kernels)[0]
        return lax.cond(x[0, 0] > 0, lambda x: x, lambda x: x @ kernels[0], x).sum()

    x, kernels = jnp.ones((3, 5)), jnp.ones((7, 5, 5))
    one = 2 * 3 * 5 * 5
    assert matrix_flops(jax.make_jaxpr(layers)(x, kernels)) == 8 * one
    both = jax.make_jaxpr(jax.grad(lambda k: jax.jit(lambda k: (x @ k[0]).sum())(k)))(kernels)
    assert matrix_flops(both) == 2 * one


def test_matrix_flops_of_all_devices():
    mesh = Layout(data=8).mesh()
    product = jax.shard_map(lambda x: x @ x.T, mesh=mesh, in_specs=P("data"), out_specs=P("data"))
    found = matrix_flops(jax.make_jaxpr(product)(jnp.ones((16, 4))))
    assert found == 8 * 2 * 2 * 2 * 4
