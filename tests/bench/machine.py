"""What the numbers were measured on: a busy or slow machine shows here, before anybody reads the rest."""

import os
import statistics
import tempfile
import time

from tests.bench.report import Line


def measure() -> list[Line]:
    """Load before we start, the price of a durable write, and of a fixed piece of Python."""
    return [
        Line("load average before the run", os.getloadavg()[0], ""),
        Line("durable 4 kB write (fdatasync)", 1000 * _durable_write(), "ms"),
        Line("one million additions in Python", 1000 * _additions(), "ms"),
    ]


def busy() -> bool:
    """Whether others are at work: absolute figures then say nothing, and ratios little."""
    return os.getloadavg()[0] > 0.5 * (os.cpu_count() or 1)


def _durable_write() -> float:
    times = []
    with tempfile.NamedTemporaryFile() as file:
        for _ in range(50):
            file.write(bytes(4096))
            file.flush()
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    return statistics.median(times)


def _additions() -> float:
    times = []
    for _ in range(5):
        began = time.perf_counter()
        total = 0
        for number in range(1_000_000):
            total += number
        times.append(time.perf_counter() - began)
    return min(times)
