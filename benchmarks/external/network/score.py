"""The number of comparators, if they sort all 2,048 inputs of zeros and ones, and with these everything."""

from __future__ import annotations

from itertools import pairwise

from reading import Refused, answer, lists

WIRES = 11


def measure() -> float:
    network = lists("network.json")
    wires = [sum((number >> wire & 1) << number for number in range(1 << WIRES)) for wire in range(WIRES)]
    for pair in network:
        if len(pair) != 2 or not 0 <= pair[0] < pair[1] < WIRES:
            raise Refused("infeasible", f"A comparator is [low, high] with 0 <= low < high < {WIRES}, not {pair[:5]}.")
        low, high = wires[pair[0]], wires[pair[1]]
        wires[pair[0]], wires[pair[1]] = low & high, low | high
    for one, two in pairwise(wires):
        wrong = one & ~two
        if wrong:
            example = format((wrong & -wrong).bit_length() - 1, f"0{WIRES}b")[::-1]
            raise Refused("infeasible", f"The input {example} is not sorted.")
    return float(len(network))


if __name__ == "__main__":
    answer(measure)
