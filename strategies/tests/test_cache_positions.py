"""Chunk lengths: they fit the sequence and are cut where caches go wrong."""

from __future__ import annotations

import random

import pytest
from hypothesis import find

from strategies.cache_positions import MAX_CHUNKS, cache_positions
from strategies.tests.examples import draws, explicit, share


@pytest.fixture(scope="module")
def drawn():
    return draws(cache_positions(40), 2000)


@pytest.mark.parametrize("length", [2, 3, 5, 33, 160])
@pytest.mark.parametrize("minimum", [0, 1])
def test_chunks_leave_at_least_one_column_for_the_rest(length, minimum):
    for chunks in draws(cache_positions(length, minimum=minimum), 200):
        assert minimum <= len(chunks) <= MAX_CHUNKS
        assert all(n >= 1 for n in chunks)
        assert sum(chunks) < length


@pytest.mark.parametrize("length", [0, 1])
def test_what_cannot_be_cut_is_not_cut(length):
    assert set(draws(cache_positions(length, minimum=1), 20)) == {()}


@pytest.mark.parametrize("first", [1, 2, 16, 32, 20, 39])
def test_boundaries_are_drawn_often(drawn, first):
    cut = [chunks for chunks in drawn if chunks]
    assert share(cut, sum(chunks[0] == first for chunks in cut)) > 0.008


def test_every_number_of_chunks_is_drawn(drawn):
    lengths = [len(chunks) for chunks in drawn]
    for n in range(MAX_CHUNKS + 1):
        assert share(lengths, lengths.count(n)) > 0.02


@pytest.mark.parametrize(
    ("condition", "least"),
    [
        (lambda _: True, ()),
        (lambda chunks: len(chunks) >= 1, (1,)),
        (lambda chunks: len(chunks) >= 3, (1, 1, 1)),
        (lambda chunks: 7 in chunks, (7,)),
        (lambda chunks: sum(chunks) >= 23, (23,)),
    ],
    ids=["any", "one", "three", "seven", "sum"],
)
@pytest.mark.parametrize("start", range(3))
def test_chunks_shrink_to_the_fewest_and_shortest(condition, least, start):
    found = find(
        cache_positions(40),
        condition,
        settings=explicit(2000, shrink=True),
        random=random.Random(start),
    )
    assert found == least
