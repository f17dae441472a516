"""What a compiled program moves between a device and its main memory, read from its text.

Each operation reads its operands and writes its result once; inside a fusion nothing is moved, and
what lies in a cache beside the cores costs nothing. Of an array that is only sliced, or changed in
place, the slice counts. XLA's own count has a loop's body once, and none at all for GPUs.
"""

from attention_jax.parallel.hlo import Op, Program, Run

NOTHING = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "opt-barrier", "after-all"),
    *("while", "call", "conditional", "async-start", "async-update", "async-done"),
    *("partition-id", "replica-id"),
}
"""Operations that move nothing themselves."""

SLICES = ("dynamic-slice", "slice", "gather")


def moved(program: Program) -> int:
    """Bytes that one call reads from main memory and writes to it, on one device."""
    return sum(
        run.times * _moved(program, run)
        for run in program.runs()
        if run.computation == run.caller and run.op.code not in NOTHING
    )


def _moved(program: Program, run: Run) -> int:
    op, given = run.op, program.operands(run)
    if op.code in ("fusion-done", "slice-start"):
        return 0
    if op.code.endswith("-done"):  # the start has read, but of what is sliced nobody knew how much
        return op.stored + (op.bytes if op.code == "slice-done" else 0)
    if op.code.endswith("-start") and op.code != "fusion-start":
        return sum(each.stored for each in given)
    if op.code in SLICES:
        return min(given[0].stored, op.bytes) + op.stored if given else 0
    if op.code == "dynamic-update-slice":
        return given[1].stored + min(op.stored, given[1].bytes)
    inside = program.fused(op)
    if not inside:
        return sum(each.stored for each in given) + op.stored
    read = sum(_read(program, inside, place, each.stored) for place, each in enumerate(given))
    return read + _written(inside, op)


def _read(program: Program, inside: list[Op], place: int, whole: int) -> int:
    """What a fusion reads of an operand that has so many bytes."""
    names = {op.name for op in inside if op.code == "parameter" and op.value == str(place)}
    read = 0
    for op in inside:
        if names.isdisjoint(op.operands):
            continue
        first = op.operands[0] in names
        if op.code == "bitcast":
            names.add(op.name)
        elif first and op.code in SLICES:
            read += op.bytes
        elif deeper := program.fused(op):
            places = [place for place, name in enumerate(op.operands) if name in names]
            read += sum(_read(program, deeper, place, whole) for place in places)
        elif not (first and op.code == "dynamic-update-slice"):  # which leaves the rest as it is
            return whole
    return min(whole, read)


def _written(inside: list[Op], op: Op) -> int:
    """What a fusion writes."""
    sizes = {each.name: each.bytes for each in inside}
    stored = op.stored if op.code == "fusion" else inside[-1].stored
    spared = sum(
        each.bytes - sizes.get(each.operands[1], each.bytes)
        for each in inside
        if each.code == "dynamic-update-slice"
    )
    return max(0, stored - spared)
