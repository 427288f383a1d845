"""What quakes.analyse must go on doing, on catalogues one can check by hand."""

from __future__ import annotations

import math
import unittest

import numpy as np
from catalogue import catalogue
from quakes import analyse

TWO = np.array([[5.0, 5.0, 20.0, 2.0], [5.0, 15.0, 10.0, 4.0]])  # 10 km apart, the later one first


class Analyse(unittest.TestCase):
    def test_events_are_taken_in_the_order_of_time(self) -> None:
        found = analyse(TWO)
        assert found[:2].tolist() == [1.0, 1.0]
        assert found[102:104].tolist() == [4.0, 3.0]

    def test_energy_is_added_up_by_cell(self) -> None:
        totals = analyse(TWO)[2:102]
        assert math.isclose(totals[0], 10.0**3)
        assert math.isclose(totals[10], 10.0**6)

    def test_the_first_event_of_a_cell_has_waited_for_nothing(self) -> None:
        again = np.vstack([TWO, [[6.0, 6.0, 27.0, 1.0]]])
        assert analyse(again)[-3:].tolist() == [-1.0, -1.0, 7.0]

    def test_an_empty_catalogue_has_cells_only(self) -> None:
        assert analyse(np.empty((0, 4))).tolist() == [0.0] * 100

    def test_a_catalogue_is_left_as_it_was(self) -> None:
        events = catalogue(np.random.default_rng(1), 30)
        before = events.copy()
        assert analyse(events).shape == (3 * 30 + 100,)
        np.testing.assert_array_equal(events, before)


if __name__ == "__main__":
    unittest.main()
