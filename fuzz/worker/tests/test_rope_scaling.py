"""Scaled rotary embeddings, against numbers worked out by hand from the papers."""

from __future__ import annotations

import math

import numpy as np
import pytest


def test_linear_scaling_divides_every_frequency() -> None:
    from fuzz.worker.rope_scaling import frequencies

    got, length = frequencies("linear", 16.0, 4, {"factor": 4.0}, 64, 1)
    np.testing.assert_allclose(got, [0.25, 0.0625], rtol=1e-15)
    assert length == 1.0


def test_dynamic_ntk_stretches_the_base_by_how_far_a_prompt_reaches() -> None:
    """Factor 4, maximum 32, head of 4: at 64 the stretch is 4 * 2 - 3 = 5, the base 16 * 5 ** 2."""
    from fuzz.worker.rope_scaling import frequencies

    for reach, second in ((1, 1 / 4), (32, 1 / 4), (64, 1 / 20)):
        got, length = frequencies("dynamic", 16.0, 4, {"factor": 4.0}, 32, reach)
        np.testing.assert_allclose(got, [1.0, second], rtol=1e-15)
        assert length == 1.0


def test_yarn_keeps_fast_pairs_divides_slow_ones_and_lengthens() -> None:
    """Base 10,000, head of 8, original 4096, so pairs turn 652, 65.2, 6.52 and 0.652 times.

    32 turns fall on pair log(4096 / (64 pi)) / log(10) = 1.31, one turn on 2.81: the ramp goes
    from pair 1 to pair 3, and pair 2 is half way: (0.01 + 0.01 / 4) / 2 = 0.00625.
    """
    from fuzz.worker.rope_scaling import frequencies

    table = {"factor": 4.0, "original_max_position_embeddings": 4096}
    got, length = frequencies("yarn", 10_000.0, 8, table, 16384, 1)
    np.testing.assert_allclose(got, [1.0, 0.1, 0.00625, 0.00025], rtol=1e-14)
    # Equation 22: 0.1 ln(4) + 1.
    assert length == pytest.approx(1.138629436111989, rel=1e-15)


def test_yarn_of_deepseek_lengthens_by_a_quotient() -> None:
    """Factor 40: (0.1 * 1 * 3.688879 + 1) / (0.1 * 0.5 * 3.688879 + 1), and 1 where both agree."""
    from fuzz.worker.rope_scaling import frequencies

    table = {"factor": 40.0, "original_max_position_embeddings": 4096, "mscale": 1.0}
    lengths = [
        frequencies("yarn", 1e4, 8, {**table, "mscale_all_dim": m}, 0, 1)[1] for m in (0.5, 1.0)
    ]
    assert lengths == pytest.approx([1.3688879454 / 1.1844439727, 1.0], rel=1e-10)


def test_latent_attention_scales_its_scores_by_all_of_a_head_and_by_yarns_length_twice() -> None:
    """128 elements that stay and 64 that turn: 1 / sqrt(192) = 0.0721687836.

    Factor 40 with the weight 1 lengthens by 0.1 * 3.6888794541 + 1 = 1.3688879454, squared
    1.8738542071; their product is 0.1352337788 (arXiv:2405.04434, 2.1; arXiv:2309.00071, 3.4).
    """
    from fuzz.worker.rope_scaling import score_scale

    table = {"factor": 40.0, "mscale": 1.0, "mscale_all_dim": 1.0}
    assert score_scale(192, "yarn", table) == pytest.approx(0.1352337788, rel=1e-9)
    assert score_scale(192, "yarn", {"factor": 40.0}) == pytest.approx(0.0721687836, rel=1e-9)
    assert score_scale(192, "default", table) == pytest.approx(0.0721687836, rel=1e-9)


def test_longrope_divides_by_one_list_up_to_the_original_maximum_and_by_another_past_it() -> None:
    """Original 32, four times as much: the length is sqrt(1 + 2 ln 2 / 5 ln 2) = sqrt(1.4)."""
    from fuzz.worker.rope_scaling import frequencies

    table = {
        "original_max_position_embeddings": 32,
        "short_factor": [1.0, 2.0],
        "long_factor": [1.0, 8.0],
    }
    for reach, second in ((32, 1 / 8), (33, 1 / 32)):
        got, length = frequencies("longrope", 16.0, 4, table, 128, reach)
        np.testing.assert_allclose(got, [1.0, second], rtol=1e-15)
        assert length == pytest.approx(math.sqrt(1.4), rel=1e-15)


def test_llama3_keeps_short_waves_divides_long_ones_and_blends_between() -> None:
    """Turns within the original maximum: 5, 2.5 and 0.5; kept are 1, (2.5 - 1) / 3 = 1/2, 0."""
    from fuzz.worker.rope_scaling import frequencies

    # Frequencies 1, 1/2, 1/10 do not come of one base; each is made the second pair of its own.
    table = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    original = round(10 * math.pi * 1000)
    table["original_max_position_embeddings"] = original
    for base, want in ((1e6, 1e-3), (4e6, (1 + 1 / 8) / 2 * 5e-4), (1e8, 1e-4 / 8)):
        got, _ = frequencies("llama3", base, 4, table, 8 * original, 1)
        np.testing.assert_allclose(got, [1.0, want], rtol=1e-5)


def test_another_kind_is_refused_by_name() -> None:
    from fuzz.worker.rope_scaling import frequencies

    with pytest.raises(ValueError, match="got 'su'"):
        frequencies("su", 1e4, 8, {}, 1, 1)
