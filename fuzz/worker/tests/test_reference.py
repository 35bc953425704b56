"""The reference itself, against numbers worked out by hand from the papers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from strategies.case import Case, Text

if TYPE_CHECKING:
    from fuzz.verdict import Outcome
    from fuzz.worker.subject import Subject


def test_text_has_one_position_on_all_axes() -> None:
    from fuzz.worker.reference import mrope_positions

    assert mrope_positions([0, 0, 0], [], 2).tolist() == [[0, 1, 2]] * 3


def test_an_image_counts_rows_and_columns_and_text_goes_on_after_the_largest() -> None:
    """2 text tokens, an image of 2 x 3 merged cells, 2 text tokens (arXiv:2409.12191, 2.1)."""
    from fuzz.worker.reference import mrope_positions

    types = [0, 0] + [1] * 6 + [0, 0]
    time, height, width = mrope_positions(types, [(1, 4, 6)], 2).tolist()
    assert time == [0, 1, 2, 2, 2, 2, 2, 2, 5, 6]
    assert height == [0, 1, 2, 2, 2, 3, 3, 3, 5, 6]
    assert width == [0, 1, 2, 3, 4, 2, 3, 4, 5, 6]


def test_two_images_follow_each_other() -> None:
    from fuzz.worker.reference import mrope_positions

    types = [1, 0, 1, 1]
    positions = mrope_positions(types, [(1, 2, 2), (1, 2, 4)], 2)
    assert positions.tolist() == [[0, 1, 2, 2], [0, 1, 2, 2], [0, 1, 2, 3]]


def test_frames_of_a_video_follow_each_other_and_text_goes_on_after_the_last_or_the_largest() -> (
    None
):
    """3 frames of 1 x 2 cells after a text token, and one more (arXiv:2409.12191, 2.1)."""
    from fuzz.worker.reference import mrope_positions

    types = [0] + [2] * 6 + [0]
    time, height, width = mrope_positions(types, [(3, 2, 4)], 2).tolist()
    assert time == [0, 1, 1, 2, 2, 3, 3, 4]
    assert height == [0, 1, 1, 1, 1, 1, 1, 4]
    assert width == [0, 1, 2, 1, 2, 1, 2, 4]


def test_positions_of_frames_are_seconds_times_positions_a_second_rounded_down() -> None:
    """1.5 positions a frame (arXiv:2502.13923, 2.1.3): 0, 1.5, 3, 4.5."""
    from fuzz.worker.reference import mrope_positions

    types = [2] * 4 + [0]
    time, height, _ = mrope_positions(types, [(4, 2, 2)], 2, [1.5]).tolist()
    assert time == [0, 1, 3, 4, 5]
    assert height == [0, 0, 0, 0, 5]
    assert mrope_positions(types, [(4, 2, 2)], 2, [0.25])[0].tolist() == [0, 0, 0, 0, 1]


def test_frames_written_apart_are_numbered_as_images_are() -> None:
    """Timestamps between them are text (arXiv:2511.21631)."""
    from fuzz.worker.reference import mrope_positions

    types = [0, 0, 2, 2, 0, 0, 2, 2, 0]
    time, _, width = mrope_positions(types, [(1, 2, 4)] * 2, 2, [1.0, 1.0]).tolist()
    assert time == [0, 1, 2, 2, 4, 5, 6, 6, 8]
    assert width == [0, 1, 2, 3, 4, 5, 6, 7, 8]


def test_angles_are_position_times_theta_to_the_minus_2j_over_d() -> None:
    """Head size 4, theta 100: the two pairs turn by p and p / 10 (arXiv:2104.09864)."""
    from fuzz.worker.reference import mrope_angles

    angles = mrope_angles(np.array([[0, 3]]), 100.0, 4, ())
    np.testing.assert_allclose(angles, [[0.0, 0.0], [3.0, 0.3]], rtol=1e-15)


def test_each_section_of_pairs_takes_its_own_axis() -> None:
    """Sections 1, 1, 2 of head size 8: pairs 0 | 1 | 2, 3 follow time | height | width."""
    from fuzz.worker.reference import mrope_angles

    angles = mrope_angles(np.array([[1], [10], [100]]), 10_000.0, 8, (1, 1, 2))
    np.testing.assert_allclose(angles, [[1.0, 10 * 0.1, 100 * 0.01, 100 * 0.001]], rtol=1e-14)


def test_interleaved_axes_take_turns_until_height_and_width_have_their_share() -> None:
    """Sections 24, 20, 20 of Qwen3-VL: twenty times time, height, width, and four times time."""
    from fuzz.worker.reference import axes_of_pairs

    assert axes_of_pairs(64, (24, 20, 20), True).tolist() == [0, 1, 2] * 20 + [0] * 4
    assert axes_of_pairs(4, (2, 1, 1), False).tolist() == [0, 0, 1, 2]


def test_windows_order_the_patches_of_an_image() -> None:
    """3 x 3 cells of one patch in windows of 2 x 2 cells: four windows, the last three cut."""
    from fuzz.worker.reference import vision_angles

    places = vision_angles([(1, 3, 3)], 1, 4, window=2)
    order = [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (1, 2), (2, 0), (2, 1), (2, 2)]
    np.testing.assert_allclose(places, np.array(order, dtype=np.float64))


def test_sections_that_do_not_fill_a_head_are_refused() -> None:
    from fuzz.worker.reference import mrope_angles

    with pytest.raises(ValueError, match="do not add up to 4 pairs"):
        mrope_angles(np.zeros((3, 1), np.int64), 10_000.0, 8, (1, 1, 1))


def test_a_quarter_turn_moves_the_first_half_into_the_second() -> None:
    from fuzz.worker.reference import rotate

    turned = rotate(np.array([[1.0, 0.0]]), np.array([[math.pi / 2]]))
    np.testing.assert_allclose(turned, [[0.0, 1.0]], atol=1e-15)


def test_rotation_keeps_norms_and_scores_depend_on_differences_only() -> None:
    from fuzz.worker.reference import mrope_angles, rotate

    q, k = np.random.default_rng(0).standard_normal((2, 1, 8))

    def score(a: int, b: int) -> float:
        angles = [mrope_angles(np.array([[p]]), 10_000.0, 8, ()) for p in (a, b)]
        return float((rotate(q, angles[0]) * rotate(k, angles[1])).sum())

    assert score(7, 3) == pytest.approx(score(104, 100), abs=1e-12)
    angles = mrope_angles(np.array([[5]]), 10_000.0, 8, ())
    assert np.linalg.norm(rotate(q, angles)) == pytest.approx(np.linalg.norm(q))


def test_vision_patches_come_cell_by_cell() -> None:
    """A grid of 2 x 4 patches, merge 2: the left cell's four patches first, row by row."""
    from fuzz.worker.reference import vision_angles

    angles = vision_angles([(1, 2, 4)], 2, 4)
    rows, columns = angles[:, 0].tolist(), angles[:, 1].tolist()
    assert rows == [0, 0, 1, 1, 0, 0, 1, 1]
    assert columns == [0, 1, 0, 1, 2, 3, 2, 3]


def test_vision_frequencies_are_those_of_half_a_head() -> None:
    """Head size 8: two pairs for rows and two for columns, theta 10,000 over 4 dimensions."""
    from fuzz.worker.reference import vision_angles

    angles = vision_angles([(1, 2, 2)], 1, 8)
    np.testing.assert_allclose(angles[3], [1.0, 0.01, 1.0, 0.01], rtol=1e-14)


def test_alternating_vision_rope_by_hand() -> None:
    """Head of 8, theta 16: of the frequencies 1, 1/2, 1/4, 1/8 every second is the row's."""
    from fuzz.worker.reference import alternating_vision_angles

    angles = alternating_vision_angles([(1, 2), (2, 1)], 8, 16.0)
    assert angles.tolist() == [
        [0.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.5, 0.125],
        [0.0, 0.0, 0.0, 0.0],
        [1.0, 0.25, 0.0, 0.0],
    ]


def test_four_axes_are_order_column_row_and_image() -> None:
    """1 text token, an image of 2 x 1 cells with an end of line each, 1 text token, and again.

    An image's first and last placeholder, and text, have their place in the row on all axes.
    """
    from fuzz.worker.reference import xdrope_positions

    types = [0, *[1] * 6, 0, *[1] * 4, 0]
    positions = xdrope_positions(types, [(1, 4, 2), (1, 2, 2)], 2)
    order, column, row, image = positions.tolist()
    assert order == list(range(13))
    assert column == [0, 1, 0, 1, 0, 1, 6, 7, 8, 0, 1, 11, 12]
    assert row == [0, 1, 0, 0, 1, 1, 6, 7, 8, 0, 0, 11, 12]
    assert image == [0, 1, 0, 0, 0, 0, 6, 7, 8, 1, 1, 11, 12]


def test_neighbours_turn_together_and_the_rest_stays() -> None:
    """Two pairs of six elements: the first turns by a quarter, the second by a half."""
    from fuzz.worker.reference import rotate

    vector = np.array([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
    angles = np.array([[math.pi / 2, math.pi]])
    np.testing.assert_allclose(
        rotate(vector, angles, "neighbours"), [[-2, 1, -3, -4, 5, 6]], atol=1e-14
    )
    np.testing.assert_allclose(rotate(vector, angles), [[-3, -2, 1, -4, 5, 6]], atol=1e-14)
    apart = rotate(vector, angles, "neighbours_apart")
    np.testing.assert_allclose(apart, [[-2, -3, 1, -4, 5, 6]], atol=1e-14)


def test_a_part_of_a_deepseek_head_turns_as_worked_out_by_hand(
    subject_of: Callable[..., Subject],
) -> None:
    """32 of 96 elements, base 10,000, original 4096, factor 40.

    32 turns fall on pair 16 log(4096 / 64 pi) / log(10,000) = 5.236, one turn on 11.257: pairs up
    to 5 keep their frequency, those from 12 on have a fortieth, pair 8 three sevenths of the way:
    0.01 * (4 / 7 + 3 / 280) = 0.0058214286. Cosine and sine keep their length.
    """
    from fuzz.worker import release
    from fuzz.worker.rope_scaling import frequencies
    from fuzz.worker.turning import latent_head

    config = subject_of(family="deepseek_v3").config
    rope = release.rope_settings(config)
    assert (rope.rotary_dim, rope.kind, latent_head(config)) == (32, "yarn", 96)
    got, length = frequencies("yarn", rope.theta, 32, rope.table, rope.maximum, 1)
    assert length == 1.0
    assert got[[0, 4, 8, 12]] == pytest.approx([1.0, 0.1, 0.0058214286, 0.000025], rel=1e-8)


def test_scores_that_forget_yarns_length_are_seen(
    judge: Callable[..., Outcome], subject_of: Callable[..., Subject]
) -> None:
    """In one layer of DeepSeek-V3's latent attention."""
    from fuzz.worker import release
    from fuzz.worker.exact import lane
    from fuzz.worker.subject import model_of

    subject = subject_of(family="deepseek_v3")
    with lane("exact"):
        attention = release.attentions(model_of(subject))[1]
    right = attention.scaling
    assert judge("rotary_reference", Case(), family="deepseek_v3").verdict == "pass"
    attention.scaling = 96**-0.5
    try:
        outcome = judge("rotary_reference", Case(), family="deepseek_v3")
    finally:
        attention.scaling = right
    assert outcome.verdict == "fail"
    assert outcome.message.startswith("scale of scores: layer 1: ")


@pytest.mark.parametrize(
    ("family", "without"),
    [("cohere2", (1,)), ("smollm3", (1,)), ("qwen3_5", (0, 2)), ("llama", ())],
)
def test_layers_without_positions_are_told_by_the_config(
    subject_of: Callable[..., Subject], family: str, without: tuple[int, ...]
) -> None:
    from fuzz.worker import release
    from fuzz.worker.turning import turning_layers

    subject = subject_of(family=family)
    layers = range(release.text_config(subject.config).num_hidden_layers)
    turning = turning_layers(subject.config, subject.family.unturned)
    assert turning == tuple(n for n in layers if n not in without)


def test_a_layer_that_turns_though_it_has_no_positions_is_seen(
    judge: Callable[..., Outcome], subject_of: Callable[..., Subject]
) -> None:
    from fuzz.worker import release
    from fuzz.worker.exact import lane
    from fuzz.worker.subject import model_of

    subject = subject_of(family="smollm3")
    with lane("exact"):
        attention = release.attentions(model_of(subject))[1]
    attention.use_rope = True
    try:
        outcome = judge("rotary_reference", Case(), family="smollm3")
    finally:
        attention.use_rope = False
    assert outcome.message.startswith("layers that turn: ")
    assert judge("rotary_reference", Case(), family="smollm3").verdict == "pass"


@pytest.mark.parametrize("tokens", [30, 31, 32])
def test_what_generate_feeds_once_more_is_held_from_its_beginning(
    judge: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, tokens: int
) -> None:
    """Phi-3 drops its cache where long factors begin, at 32 tokens here."""
    from transformers import Phi3ForCausalLM

    case = Case(rows=((Text(tokens),),), entry="generate", decode=4)
    assert judge("rotary_reference", case, family="phi3").verdict == "pass"
    prepare = Phi3ForCausalLM.prepare_inputs_for_generation

    def moved(*args: Any, **kwargs: Any) -> Any:
        made = prepare(*args, **kwargs)
        if made.get("past_key_values") is None:
            made["position_ids"] = made["position_ids"].clone()
            made["position_ids"][:, 9:] += 1
        return made

    monkeypatch.setattr(Phi3ForCausalLM, "prepare_inputs_for_generation", moved)
    message = judge("rotary_reference", case, family="phi3").message
    assert message.startswith("position ids, generate: row 0, token 9: ")


@pytest.mark.parametrize(
    ("family", "theta", "rotary_dim", "sections"),
    [
        ("glm4v", 10_000.0, 16, (2, 3, 3)),
        ("glm46v", 10_000.0, 16, (2, 3, 3)),
        ("glm_ocr", 10_000.0, 32, (4, 6, 6)),
        ("qwen3_5", 10_000_000.0, 16, (3, 3, 2)),
        # 10,000 * 1,000 ** (32 / 30)
        ("hunyuan_vl", 15_848_931.92461114, 32, (4, 4, 4, 4)),
    ],
)
def test_what_turns_is_read_from_the_models_own_config(
    subject_of: Callable[..., Subject],
    family: str,
    theta: float,
    rotary_dim: int,
    sections: tuple[int, ...],
) -> None:
    from fuzz.worker import release

    rope = release.rope_settings(subject_of(family=family).config)
    assert rope.theta == pytest.approx(theta, rel=1e-12)
    assert (rope.rotary_dim, rope.sections) == (rotary_dim, sections)
