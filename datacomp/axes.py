"""Round numbers for the axes of pictures."""

import math


def short(amount: float) -> str:
    """Write an amount in few letters: 12.8M."""
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if amount >= size:
            return f"{amount / size:.3g}{unit}"
    return f"{amount:.3g}"


def amounts(low: float, high: float) -> list[float]:
    """Round amounts between two powers of ten, few enough for their labels."""
    span = high - low
    digits = (1,) if span > 2.5 else (1, 3) if span > 1.2 else (1, 2, 5) if span > 0.4 else (1, 1.5, 2, 3, 4, 5, 6, 8)
    return [digit * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for digit in digits if low <= math.log10(digit) + power <= high]


def steps(low: float, high: float) -> list[float]:
    """About five round averages."""
    step = next(step for step in (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2) if (high - low) / step <= 6 or step == 0.2)
    return [place * step for place in range(math.ceil(low / step), math.floor(high / step) + 1)]


def spread(low: float, high: float) -> list[float]:
    """Some four to eight round numbers of a span."""
    power = 10.0 ** math.floor(math.log10((high - low) / 4))
    step = next(digit * power for digit in (5, 2, 1) if (high - low) / (digit * power) >= 3)
    return [place * step for place in range(math.ceil(low / step), math.floor(high / step) + 1)]
