"""Where the tensors live, and whether bfloat16 pays there."""

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@cache
def keep_freed_memory() -> None:
    """Tells the C library to keep freed memory for the next tensor, where it is glibc; elsewhere does nothing.

    By default glibc maps every block over 128 kB anew and gives it back at once, and the kernel clears each page again:
    a fine-tuning step on CPU spends a fifth of its time so (see benchmarks). The process stays as large as its peak.
    """
    import ctypes
    import sys

    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # musl has none
        return
    for option, value in ((-3, 1 << 30), (-1, 2**31 - 1)):  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD (malloc.h)
        mallopt(option, value)


def choose_device() -> "torch.device":
    """The accelerator torch finds, else the CPU."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _seconds(run, repeats: int = 5) -> float:
    """The shortest of several timings: noise on a shared machine only ever adds."""
    run()  # the first call compiles kernels
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


@cache
def bf16_speedup() -> float:
    """How many times faster one encoder-sized matrix product is in bfloat16 than in float32 on this device.

    Measured once a process (about 20 ms): processors with AMX or a GPU gain severalfold, others nothing or worse,
    and a flag such as ``avx512_bf16`` does not tell which. ``BIOUTILS_BF16=0`` or ``1`` overrules the measurement.
    """
    import torch

    forced = os.environ.get("BIOUTILS_BF16")
    if forced in ("0", "1"):
        return 2.0 if forced == "1" else 0.5
    device = choose_device()
    if device.type == "mps":
        return 0.5  # autocast to bfloat16 is not dependable there
    # 1024 tokens × the feed-forward block of a small encoder (384 → 1536). Not random: a draw here would move the seeded
    # numbers of whoever asks first.
    tokens, weights = torch.full((1024, 384), 0.5, device=device), torch.full((384, 1536), 0.5, device=device)
    half_tokens, half_weights = tokens.bfloat16(), weights.bfloat16()

    def product(a: "torch.Tensor", b: "torch.Tensor") -> None:
        a @ b
        if device.type == "cuda":
            torch.cuda.synchronize()

    with torch.no_grad():
        return _seconds(lambda: product(tokens, weights)) / _seconds(lambda: product(half_tokens, half_weights))


def bf16_pays() -> bool:
    """True where bfloat16 is at least 1.3 times faster: less is lost again in the conversions around each product."""
    return bf16_speedup() >= 1.3


def autocast(enabled: bool | None = None) -> AbstractContextManager:
    """A context in which matrix products run in bfloat16, by default where that pays."""
    import torch

    on = bf16_pays() if enabled is None else enabled
    return torch.autocast(choose_device().type, dtype=torch.bfloat16, enabled=on)


@contextmanager
def one_thread() -> Iterator[None]:
    """Within it torch's CPU kernels use one thread: a step's tensors are so small that waking a second costs more."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
