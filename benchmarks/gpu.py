"""How much of a device FT-Transformer and TabM use while they learn: steps/s, share of its bf16 peak and bandwidth.

python -m benchmarks.gpu            # the GPU, or the CPU where there is none
python -m benchmarks.gpu --tiny     # toy sizes, seconds on a CPU

Needs torch and framework.nets. One step is a batch drawn from rows on the device, forward and backward in bf16, and
AdamW. Ways of doing it, each a row of the table:

plain     the loop anyone would write first: what the ratios are against
lean      fused AdamW, no autocast cache misses, gradients set to none
compiled  lean, forward and loss compiled by torch.compile
graph     lean, the whole step recorded as a CUDA graph
both      compiled, and recorded
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from framework.nets import build

WAYS = ("plain", "lean", "compiled", "graph", "both")


@dataclass(frozen=True)
class Size:
    """A table and a net on it. batch: rows of a step; codes: columns of 20 categories."""

    net: str
    numbers: int
    codes: int
    batch: int
    shape: dict[str, Any]


SIZES = [
    Size("ft_transformer", 16, 4, 1024, {}),
    Size("ft_transformer", 80, 20, 1024, {}),
    Size("ft_transformer", 80, 20, 8192, {}),
    Size("tabm", 16, 4, 1024, {}),
    Size("tabm", 80, 20, 1024, {}),
    Size("tabm", 80, 20, 8192, {}),
]
TINY = [
    Size("ft_transformer", 6, 2, 64, {"width": 32, "blocks": 2}),
    Size("tabm", 6, 2, 64, {"width": 64, "members": 4, "size": 8}),
]


@dataclass(frozen=True)
class Peaks:
    """What the device was measured to do: bf16 matrix products, and a copy, read and written bytes both counted."""

    flops: float  # a second
    bytes: float  # a second


@dataclass(frozen=True)
class Row:
    """One way on one size. share_flops: of the measured peak; share_bytes: at least, see `least_bytes`."""

    net: str
    columns: int
    batch: int
    way: str
    steps_a_second: float
    ratio: float  # to the plain loop
    share_flops: float
    share_bytes: float


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(work: Callable[[], object], device: torch.device, *, least: float, runs: int = 5) -> float:
    """The median seconds of one call over `runs` runs of `least` seconds each, after as long a warm-up."""
    count = 1
    while True:
        wait(device)
        began = time.perf_counter()
        for _ in range(count):
            work()
        wait(device)
        spent = time.perf_counter() - began
        if spent >= least:
            break
        count = max(count + 1, int(count * min(10.0, 1.2 * least / max(spent, 1e-6))))
    each = []
    for _ in range(runs):
        began = time.perf_counter()
        for _ in range(count):
            work()
        wait(device)
        each.append((time.perf_counter() - began) / count)
    return statistics.median(each)


def peaks(device: torch.device, *, tiny: bool, least: float) -> Peaks:
    """By a large product and a large copy: no data sheet says what this device does today."""
    side, length = (256, 2**20) if tiny else (8192, 2**29) if device.type == "cuda" else (1024, 2**25)
    a = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    b, out = torch.randn_like(a), torch.empty_like(a)
    source = torch.empty(length, device=device, dtype=torch.uint8)
    target = torch.empty_like(source)
    product = seconds(lambda: torch.mm(a, b, out=out), device, least=least)
    copy = seconds(lambda: target.copy_(source), device, least=least)
    return Peaks(2 * side**3 / product, 2 * length / copy)


class Lesson:
    """A net, its optimizer, and rows on the device to draw batches from: all of a step but the way of doing it."""

    def __init__(self, size: Size, device: torch.device, *, lean: bool) -> None:
        torch.manual_seed(0)
        self.size, self.device = size, device
        count = 16 * size.batch
        numbers, codes = torch.randn(count, size.numbers), torch.randint(0, 20, (count, size.codes)).float()
        rows = torch.cat([numbers, codes], dim=1)
        net = build(size.net, cards=[0] * size.numbers + [20] * size.codes, outputs=1, **size.shape)
        self.net = net.learn(rows[:1000].numpy()).to(device).train()
        self.rows, self.answers = rows.to(device), torch.sin(rows[:, 0]).to(device)
        self.turn = 0
        self.inputs, self.expected = self.rows[: size.batch].clone(), self.answers[: size.batch].clone()
        cuda = device.type == "cuda"
        self.engine = (
            torch.optim.AdamW(self.net.parameters(), lr=1e-4, fused=True, capturable=cuda)
            if lean
            else torch.optim.AdamW(self.net.parameters(), lr=1e-4)
        )

    def draw(self) -> None:
        """The next batch into the tensors that a step reads."""
        begin = self.turn % 16 * self.size.batch
        self.turn += 1
        self.inputs.copy_(self.rows[begin : begin + self.size.batch])
        self.expected.copy_(self.answers[begin : begin + self.size.batch])

    def loss(self, inputs: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
        told = self.net(inputs)[..., 0].float()
        return (told - expected[:, None]).square().mean()


def plain_step(lesson: Lesson) -> Callable[[], object]:
    """The loop anyone would write first."""
    order = torch.arange(len(lesson.rows), device=lesson.device).split(lesson.size.batch)

    def step() -> None:
        place = order[lesson.turn % len(order)]
        lesson.turn += 1
        lesson.engine.zero_grad()
        with torch.autocast(lesson.device.type, torch.bfloat16):
            loss = lesson.loss(lesson.rows[place], lesson.answers[place])
        loss.backward()
        lesson.engine.step()

    return step


def lean_step(lesson: Lesson, *, compiled: bool, backend: str, recorded: bool) -> Callable[[], object]:
    """The same step with less in its way: compiled, recorded, both or neither."""
    loss = torch.compile(lesson.loss, fullgraph=True, backend=backend) if compiled else lesson.loss

    def learn() -> None:
        lesson.engine.zero_grad(set_to_none=True)
        with torch.autocast(lesson.device.type, torch.bfloat16, cache_enabled=not recorded):
            missed = loss(lesson.inputs, lesson.expected)
        missed.backward()
        lesson.engine.step()

    replay = record(learn, lesson.device) if recorded else learn

    def step() -> None:
        lesson.draw()
        replay()

    return step


def record(learn: Callable[[], object], device: torch.device) -> Callable[[], object]:
    """The step as a CUDA graph; some steps go before, on a stream of their own, as torch asks."""
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        for _ in range(5):
            learn()
    torch.cuda.current_stream(device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        learn()
    replay: Callable[[], object] = graph.replay
    return replay


def step_of(way: str, size: Size, device: torch.device, backend: str) -> Callable[[], object]:
    lesson = Lesson(size, device, lean=way != "plain")
    if way == "plain":
        return plain_step(lesson)
    return lean_step(lesson, compiled=way in ("compiled", "both"), backend=backend, recorded=way in ("graph", "both"))


def step_flops(size: Size) -> float:
    """Of the matrix products of one step forward and backward, counted by torch on the CPU by a small batch."""
    from torch.utils.flop_counter import FlopCounterMode

    few = Size(size.net, size.numbers, size.codes, 8, size.shape)
    lesson = Lesson(few, torch.device("cpu"), lean=False)
    with FlopCounterMode(display=False) as counter, nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH):
        lesson.loss(lesson.inputs, lesson.expected).backward()
    return float(counter.get_total_flops() * size.batch / few.batch)


def least_bytes(size: Size) -> float:
    """What an eager step cannot but move: each tensor kept for the backward pass written and read once, in bf16;
    each weight and its gradient and AdamW's two means: 10 passes of 4 bytes. What operators move between is not in
    it, so that the true share is larger."""
    few = Size(size.net, size.numbers, size.codes, 8, size.shape)
    lesson = Lesson(few, torch.device("cpu"), lean=False)
    weights = {part.untyped_storage().data_ptr() for part in lesson.net.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        place = tensor.untyped_storage().data_ptr()
        if place not in weights:
            kept[place] = max(kept.get(place, 0), tensor.untyped_storage().nbytes() * 2 // tensor.element_size())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        lesson.loss(lesson.inputs, lesson.expected)
    parameters = sum(part.numel() for part in lesson.net.parameters())
    return float(2 * sum(kept.values()) * size.batch / few.batch + 10 * 4 * parameters)


def measure(sizes: list[Size], device: torch.device, *, tiny: bool) -> tuple[Peaks, list[Row]]:
    least = 0.05 if tiny else 0.5
    backend = "aot_eager" if tiny else "inductor"
    peak = peaks(device, tiny=tiny, least=least)
    rows: list[Row] = []
    for size in sizes:
        flops, moved, base = step_flops(size), least_bytes(size), 0.0
        for way in WAYS:
            if way in ("graph", "both") and device.type != "cuda":
                continue
            torch.compiler.reset()
            try:
                spent = seconds(step_of(way, size, device, backend), device, least=least)
            except RuntimeError as error:  # out of memory, or a compiler that this machine lacks: the others go on
                print(f"| {size.net} | {size.numbers + size.codes} | {size.batch:,} | {way} | failed: {_first(error)}")
                continue
            base = base or spent
            shares = flops / spent / peak.flops, moved / spent / peak.bytes
            rows.append(Row(size.net, size.numbers + size.codes, size.batch, way, 1 / spent, base / spent, *shares))
            print(line(rows[-1]), flush=True)
    return peak, rows


def line(row: Row) -> str:
    shares = f"{row.share_flops:.1%} | {row.share_bytes:.1%}"
    return (
        f"| {row.net} | {row.columns} | {row.batch:,} | {row.way} | {row.steps_a_second:,.1f} | {row.ratio:.2f} "
        f"| {shares} |"
    )


def _first(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:120]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="toy sizes; compiled without a code generator")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, help="a JSON file for the numbers")
    asked = parser.parse_args()
    device = torch.device(asked.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"{name}; torch {torch.__version__}\n")
    print("| net | columns | batch | way | steps/s | × plain | of bf16 peak | of bandwidth, at least |")
    print("|---|---|---|---|---|---|---|---|")
    peak, rows = measure(TINY if asked.tiny else SIZES, device, tiny=asked.tiny)
    print(f"\nMeasured peaks: {peak.flops / 1e12:.2f} bf16 TFLOP/s, {peak.bytes / 1e9:.1f} GB/s copied.")
    if asked.out is not None:
        told = {"device": name, "torch": torch.__version__, "peaks": asdict(peak), "rows": [asdict(r) for r in rows]}
        asked.out.write_text(json.dumps(told, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
