"""The planted defects by name: what each does and which property is expected to see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fuzz.faults import FAULTS, PREFIX
from fuzz.target import FLASH


@dataclass(frozen=True, slots=True)
class Plant:
    """One defect that can be put into the installed model, to prove that it would be found.

    Attributes:
        name: its name on the command line.
        sentence: what goes wrong.
        killer: the property that must find it.
        attn: attention implementation of the target on which it must find it.
        family: of a target that has the code.
    """

    name: str
    sentence: str
    killer: str
    attn: str = "sdpa"
    family: str = "qwen2_vl"


PLANTS: Final[dict[str, Plant]] = {
    p.name: p
    for p in (
        Plant(
            "rotary-table-short",
            "the cos/sin table has cache_position[-1] rows, one too few, and is indexed by "
            "position ids (the original bug)",
            "no_crash",
        ),
        Plant(
            "rotary-table-short-flash",
            "the same, but only with flash_attention_2, as it happened",
            "no_crash",
            FLASH,
        ),
        Plant(
            "rotary-table-short-device",
            "the same, on a stand-in for a device, where it is an assertion that costs the process",
            "no_crash",
        ),
        Plant(
            "positions-restart",
            "a prefill chunk after the first restarts positions at 0",
            "cache_agreement",
        ),
        Plant("padding-leak", "attention sees padding", "padding_invariance"),
        Plant("causal-off-by-one", "a token sees the token after it", "causality"),
        Plant("mrope-axes-swapped", "height and width positions are exchanged", "rotary_reference"),
        Plant(
            "video-times-lost",
            "all frames of a video stand at the time of the first one",
            "rotary_reference",
        ),
        Plant(
            "frames-skipped",
            "only the first of the frames in a temporal patch of a video is looked at",
            "visibility",
        ),
        Plant(
            "stale-rope-deltas",
            "the first prompt's rope_deltas are kept for every later one",
            "state_independence",
        ),
        Plant("batch-crosstalk", "every row uses the first row's mask", "batch_invariance"),
        Plant("vision-leak", "images of one call attend to each other", "image_independence"),
        Plant(
            "packing-ignored",
            "sequences packed into one row attend to each other",
            "packing_invariance",
        ),
        Plant(
            "eager-scale",
            "eager attention scales its scores by 1.01",
            "attention_agreement",
        ),
        Plant(
            "experts-scale",
            "experts that are not computed one after the other give 1.01 times as much",
            "attention_agreement",
            family="qwen3_vl_moe",
        ),
        Plant(
            "half-mask-too-small",
            "eager attention masks with the logarithm of the dtype's smallest number, which in "
            "float16 is a score like others (-9.7)",
            "low_precision",
        ),
        Plant(
            "eager-gradient",
            "eager attention scales the gradients of its query projections by 1.01, in training",
            "attention_agreement",
        ),
        Plant(
            "flash-last-key-ignored",
            "flash-attn's kernel leaves out the last key of each sequence",
            "attention_agreement",
            FLASH,
        ),
        Plant(
            "flash-causal-top-left",
            "flash-attn's kernel aligns its causal mask with the first key, not with the last",
            "attention_agreement",
            FLASH,
        ),
        Plant(
            "placeholders-unchecked",
            "image placeholders are not counted against image features",
            "clean_rejection",
        ),
        Plant(
            "first-key-hidden",
            "no later token sees the first one of a prompt",
            "visibility",
        ),
        Plant(
            "image-hidden-from-text",
            "text after an image sees the marker behind it, but not the image",
            "visibility",
        ),
        Plant(
            "beams-not-reordered",
            "the cache stays as it is when beams change places",
            "generation_agreement",
        ),
        Plant(
            "rope-deltas-lost",
            "a prompt is continued as if its images had as many positions as tokens",
            "cache_agreement",
        ),
        Plant(
            "text-after-images-late",
            "the text after an image is numbered from one further on",
            "rotary_reference",
        ),
        Plant("cos-sin-exchanged", "cosine and sine are exchanged", "rotary_reference"),
        Plant(
            "another-base",
            "rotary frequencies have an exponent 1.01 times what it should be",
            "rotary_reference",
        ),
        Plant(
            "sections-shifted",
            "the second axis of the multimodal sections begins one pair late",
            "rotary_reference",
        ),
        Plant(
            "wrong-half",
            "elements of a head are paired as neighbours for halves, or as halves for neighbours",
            "rotary_reference",
        ),
        Plant(
            "positions-rounded",
            "positions pass through bfloat16 on their way to the rotation",
            "rotary_reference",
        ),
        Plant(
            "far-positions-wrap",
            "positions begin anew at max_position_embeddings",
            "rotary_reference",
        ),
        Plant(
            "lengthening-lost",
            "cosine and sine lack YaRN's or LongRoPE's factor",
            "rotary_reference",
            family="llama_yarn",
        ),
        Plant(
            "audio-frames-twice",
            "the audio tower numbers its frames two by two",
            "rotary_reference",
            family="glmasr",
        ),
        Plant(
            "cache-slot-overwritten",
            "the slot of the last token in a cache is overwritten with zeros by the next piece",
            "cache_agreement",
        ),
        Plant(
            "cache-rows-exchanged",
            "each row goes on from the cache of the row before it",
            "batch_invariance",
        ),
        Plant(
            "guesses-kept",
            "tokens that were guessed and turned down stay in the cache",
            "generation_agreement",
        ),
        Plant(
            "window-too-wide",
            "a sliding window is one token too wide, with every attention implementation",
            "visibility",
            family="mistral",
        ),
        Plant(
            "padding-forgotten-later",
            "padding in a cache is seen by the pieces after it",
            "cache_agreement",
        ),
        Plant(
            "packing-boundary-late",
            "packed sequences after the first begin one token late",
            "packing_invariance",
        ),
        Plant(
            "vision-segments-late",
            "the attention segment of each image but the first begins one patch late",
            "image_independence",
        ),
        Plant(
            "vision-axes-exchanged",
            "the vision tower turns by columns for rows and by rows for columns",
            "rotary_reference",
        ),
        Plant(
            "patches-in-rows",
            "the vision tower takes patches for ordered by rows, not by merged cells",
            "rotary_reference",
        ),
        Plant("last-image-dropped", "the last image of a call is blank", "visibility"),
        Plant(
            "later-images-blank",
            "the images of a generate that goes on from a cache are blank",
            "generation_agreement",
        ),
        Plant(
            "features-one-late",
            "each image placeholder gets the features of the one before it, the first of a batch "
            "those of the last",
            "batch_invariance",
        ),
        Plant(
            "grid-transposed",
            "the model is told of an image's rows and columns in the wrong order",
            "rotary_reference",
        ),
        Plant(
            "flash-window-ignored",
            "flash-attn's kernel ignores the sliding window",
            "attention_agreement",
            FLASH,
            family="mistral",
        ),
        Plant(
            "flash-boundary-late",
            "flash-attn's kernel begins every sequence but the first one row late",
            "attention_agreement",
            FLASH,
        ),
        Plant(
            "crop-forgotten",
            "a cache stays as it is when tokens are cropped away",
            "cache_agreement",
        ),
        Plant(
            "own-cache-last-key",
            "the cache that a model makes for itself lacks the key of its last token",
            "cache_agreement",
        ),
        Plant(
            "quantized-scale",
            "a quantized cache gives back numbers that are one percent too large",
            "cache_agreement",
        ),
        Plant(
            "length-remembered",
            "positions go on from the end of the last prompt, whichever one is continued",
            "state_independence",
        ),
        Plant("abort", "the process aborts on an image with one merged row", "no_crash"),
        Plant("hang", "the process hangs on two images in one call", "no_crash"),
        Plant(
            "exit", "the process exits without an answer when a static cache is used", "no_crash"
        ),
        Plant(
            "sticky-device-error",
            "a device error poisons the process on a right-padded batch",
            "no_crash",
        ),
    )
}

NOTHING: Final = "nothing to break"
"""How the message of a ``broken`` outcome begins where a target lacks the code of its plant."""

PLANT_NAMES: Final = (*PLANTS, *(f"{PREFIX}{name}" for name in FAULTS))
"""What can be planted: the defects above, and every fault of :mod:`fuzz.faults`."""
