"""The counters of relay starts are found however many there were."""

from __future__ import annotations

import pytest

from proxy.record.board import ROWS, Board, Column, desk_row


@pytest.mark.parametrize("starts", [1, 2, ROWS - 2, ROWS - 1, ROWS, 2 * ROWS])
def test_the_rows_of_all_starts_are_used_and_of_very_many_those_of_the_last(starts: int):
    board = Board.made()
    for serial in range(1, starts + 1):
        board.begun(serial, worker=serial % 3)
    found = {row[Column.SERIAL]: row[Column.WORKER] for row in board.used()}
    assert found == {serial: serial % 3 for serial in range(max(1, starts - ROWS + 2), starts + 1)}


def test_a_row_that_is_used_again_has_nothing_counted():
    board = Board.made()
    board.begun(1, worker=0)[Column.BEGUN] = 7
    board.begun(ROWS, worker=0)
    assert [row[Column.BEGUN] for row in board.used()] == [0]


def test_rows_are_found_where_a_supervisor_of_before_does_not_say_how_many_there_are():
    board = Board.made()
    for serial in (1, 5, ROWS - 1):
        board.begun(serial, worker=0)
    desk_row(board)[Column.SERIAL] = 0
    assert sorted(row[Column.SERIAL] for row in board.used()) == [1, 5, ROWS - 1]


def test_a_board_that_nobody_has_begun_has_no_rows():
    assert Board.made().used() == []
