"""The model families that ropefuzz knows: data, one file each."""

from __future__ import annotations

from typing import Final

from fuzz.families import (
    cohere2,
    deepseek_v3,
    gemma2,
    gemma3,
    glm4v,
    glm4v_moe,
    glm46v,
    glm_ocr,
    glmasr,
    gpt_oss,
    granite4_vision,
    hunyuan_vl,
    idefics3,
    internvl,
    llama,
    llama_rope,
    llava,
    llava_next,
    llava_onevision,
    ministral3,
    mistral,
    mistral3,
    mllama,
    paligemma,
    phi3,
    qwen2,
    qwen2_5_vl,
    qwen2_vl,
    qwen3,
    qwen3_5,
    qwen3_5_moe,
    qwen3_vl,
    qwen3_vl_moe,
    qwen4_exp,
    smollm3,
    smolvlm,
)
from fuzz.families.family import Family
from fuzz.families.unlisted import unlisted

FAMILIES: Final[dict[str, Family]] = {
    f.name: f
    for f in (
        qwen2_vl.FAMILY,
        qwen2_5_vl.FAMILY,
        qwen3_vl.FAMILY,
        glm46v.FAMILY,
        glm4v.FAMILY,
        glm4v_moe.FAMILY,
        glm_ocr.FAMILY,
        hunyuan_vl.FAMILY,
        qwen3_5.FAMILY,
        qwen3_5_moe.FAMILY,
        qwen3_vl_moe.FAMILY,
        llama.FAMILY,
        *llama_rope.FAMILIES,
        qwen2.FAMILY,
        qwen3.FAMILY,
        mistral.FAMILY,
        mistral3.FAMILY,
        llava.FAMILY,
        llava_next.FAMILY,
        llava_onevision.FAMILY,
        internvl.FAMILY,
        idefics3.FAMILY,
        smolvlm.FAMILY,
        gemma3.FAMILY,
        paligemma.FAMILY,
        deepseek_v3.FAMILY,
        gemma2.FAMILY,
        gpt_oss.FAMILY,
        smollm3.FAMILY,
        cohere2.FAMILY,
        phi3.FAMILY,
        ministral3.FAMILY,
        glmasr.FAMILY,
        granite4_vision.FAMILY,
        qwen4_exp.FAMILY,
        mllama.FAMILY,
    )
}


def family_of(name: str) -> Family:
    """Return a family by name: its data, or one that is read off a checkpoint directory."""
    return FAMILIES[name] if name in FAMILIES else unlisted(name)
