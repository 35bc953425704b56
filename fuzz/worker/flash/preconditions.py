"""What flash-attn's compiled extension takes for granted, as data: one row a precondition.

Read in the sources of flash-attn 2.8.3.post2: csrc/flash_attn/flash_api.cpp, below it src/, and
flash_attn/ops/triton/rotary.py. What happens unchecked follows from reading, not from running.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_API: Final = "flash_api.cpp: "


@dataclass(frozen=True, slots=True)
class Precondition:
    """One thing that must hold when the extension is called.

    Attributes:
        code: its name, stable.
        sentence: what must hold.
        consequence: what happens where it does not hold, "" where the extension itself checks it
            and raises.
        source: file, and function or macro in it.
    """

    code: str
    sentence: str
    consequence: str
    source: str

    @property
    def checked(self) -> bool:
        """Whether the extension itself checks it."""
        return not self.consequence

    @property
    def kernel(self) -> str:
        """What the extension does about it, as the end of a sentence."""
        if self.checked:
            return "the kernel checks this itself"
        return f"the kernel does not check this: {self.consequence}"


def _checked(code: str, sentence: str, source: str) -> Precondition:
    return Precondition(code, sentence, "", source)


_unchecked = Precondition

_OUTSIDE: Final = "it reads outside the tensor"
_BLOCKS: Final = "src/block_info.h: BlockInfo"
_SPLIT: Final = "src/flash_fwd_kernel.h: compute_attn_1rowblock_splitkv"

TENSORS: Final = (
    _checked("argument-type", "every argument has its type", _API + "PYBIND11_MODULE"),
    _checked("rank", "tensors have the dimensions of the function", _API + "CHECK_SHAPE"),
    _checked("shape", "shapes fit each other", _API + "CHECK_SHAPE"),
    _checked("dtype", "queries are float16 or bfloat16", _API + "mha_fwd"),
    _checked("same-dtype", "all floating tensors have the queries' dtype", _API + "mha_fwd"),
    _checked("device", "all tensors are on the queries' kind of device", _API + "CHECK_DEVICE"),
    _unchecked(
        "device-index",
        "all tensors are on the queries' own device",
        "it uses an address of another device",
        _API + "CHECK_DEVICE",
    ),
    _checked("last-stride", "the last dimension is contiguous", _API + "mha_fwd"),
    _unchecked(
        "pointer-alignment",
        "tensors start at a multiple of 8 elements",
        "it loads 16 bytes at an address that is no multiple of 16 (misaligned address)",
        "src/kernel_traits.h: Flash_fwd_kernel_traits::Gmem_copy_struct",
    ),
    _unchecked(
        "stride-alignment",
        "all strides but the last are multiples of 8 elements",
        "it loads 16 bytes at an address that is no multiple of 16 (misaligned address)",
        "src/kernel_traits.h: Flash_fwd_kernel_traits::Gmem_copy_struct",
    ),
    _unchecked(
        "output-overlap",
        "what is written does not overlap itself",
        "blocks of threads overwrite each other's results",
        _API + "set_params_fprop",
    ),
    _checked("batch-empty", "there is at least one sequence", _API + "mha_fwd"),
    _checked(
        "queries-empty",
        "there is at least one query (max_seqlen_q of at least 1)",
        "src/flash_fwd_launch_template.h: C10_CUDA_KERNEL_LAUNCH_CHECK (grid of 0 blocks)",
    ),
    _checked(
        "keys-empty",
        "a backward pass has at least one key (max_seqlen_k of at least 1)",
        "src/flash_bwd_launch_template.h: C10_CUDA_KERNEL_LAUNCH_CHECK (grid of 0 blocks)",
    ),
    _checked(
        "grid",
        "batch and heads are at most 65535 each",
        "src/flash_fwd_launch_template.h: C10_CUDA_KERNEL_LAUNCH_CHECK (grid y and z)",
    ),
    _checked("head-size-256", "the head size is at most 256", _API + "mha_fwd"),
    _checked("head-size-8", "the head size is a multiple of 8", _API + "mha_fwd"),
    _unchecked(
        "key-heads",
        "there is at least one key head",
        "it divides by zero on the host, which kills the process",
        _API + "mha_fwd (num_heads % num_heads_k)",
    ),
    _checked("gqa", "query heads are a multiple of key heads", _API + "mha_fwd"),
    _checked("dropout-1", "dropout_p is below 1", _API + "set_params_fprop"),
    _unchecked(
        "dropout-negative",
        "dropout_p is not negative",
        "it runs without dropout",
        _API + "set_params_fprop",
    ),
    _checked("softcap-dropout", "softcap comes without dropout", _API + "mha_fwd"),
    _unchecked(
        "softcap-negative",
        "softcap is not negative",
        "it runs without softcap",
        _API + "set_params_fprop",
    ),
    _checked("softmax-dropout", "return_softmax comes with dropout", _API + "mha_fwd"),
    _checked("alibi-dtype", "alibi_slopes are float32", _API + "set_params_alibi"),
    _checked("alibi-stride", "alibi_slopes' last stride is 1", _API + "set_params_alibi"),
    _checked(
        "alibi-shape",
        "alibi_slopes are (heads,) or (batch, heads)",
        _API + "set_params_alibi",
    ),
    _unchecked(
        "lse-shape",
        "softmax_lse has the shape that the forward pass returned",
        _OUTSIDE + ", or takes other rows' values",
        _API + "mha_bwd (only CHECK_DEVICE)",
    ),
    _unchecked(
        "lse-dtype",
        "softmax_lse is float32",
        "it takes the bytes for float32",
        _API + "mha_bwd (only CHECK_DEVICE)",
    ),
    _unchecked(
        "lse-contiguous",
        "softmax_lse is contiguous",
        "it takes other rows' values",
        _API + "mha_bwd (only CHECK_DEVICE)",
    ),
)

SEQUENCES: Final = (
    _checked("int32", "lengths, starts and indices are int32", _API + "mha_varlen_fwd"),
    _checked("contiguous", "lengths, starts and tables are contiguous", _API + "CHECK_CONTIGUOUS"),
    _checked("side-shape", "lengths, starts and tables fit the batch", _API + "CHECK_SHAPE"),
    _unchecked(
        "cu-first",
        "cu_seqlens start at 0",
        "the rows before the first sequence stay uninitialised",
        _BLOCKS,
    ),
    _unchecked(
        "cu-order",
        "cu_seqlens do not decrease",
        "a sequence of negative length is skipped, and rows are written twice or never",
        _BLOCKS,
    ),
    _unchecked(
        "cu-past-end",
        "cu_seqlens do not pass the last row",
        "it reads and writes outside the tensor",
        _BLOCKS,
    ),
    _unchecked(
        "cu-short",
        "cu_seqlens end at the last row",
        "the rows after the last sequence stay uninitialised, or are never seen",
        _BLOCKS,
    ),
    _unchecked(
        "max-seqlen-low",
        "max_seqlen is at least the longest sequence",
        "queries past it stay uninitialised, a window of at least it is dropped, and 1 drops the "
        "causal mask",
        _API + "mha_varlen_fwd",
    ),
    _checked(
        "one-query-each",
        "with max_seqlen_q of 1 and grouped heads there is one query a sequence",
        _API + "mha_varlen_fwd (seqlenq_ngroups_swapped, reshape)",
    ),
    _checked("leftpad-paged", "leftpad comes without block_table", _API + "mha_varlen_fwd"),
    _unchecked(
        "leftpad-range",
        "leftpad lies between 0 and the sequence's keys",
        "a negative one reads other sequences' keys or outside the tensor, a larger one gives 0",
        _BLOCKS,
    ),
    _unchecked(
        "seqused-range",
        "seqused_k lies between 0 and the sequence's keys",
        "it reads other sequences' keys or outside the tensor",
        _BLOCKS,
    ),
    _checked("page-size", "the page size is a multiple of 256", _API + "mha_varlen_fwd"),
    _checked("page-stride", "block_table's last stride is 1", _API + "mha_varlen_fwd"),
    _unchecked(
        "page-table-short",
        "block_table has a column for every page in use",
        "it takes the next sequence's pages, or reads outside the table",
        _SPLIT,
    ),
    _unchecked(
        "page-range",
        "pages in use lie in the cache",
        "it reads and writes outside the cache",
        _SPLIT,
    ),
)

CACHE: Final = (
    _unchecked(
        "cache-batch",
        "the cache has a row for every sequence",
        _OUTSIDE,
        _API + "mha_fwd_kvcache (batch_size_c is the cache's own)",
    ),
    _unchecked("cache-length-negative", "cache_seqlens are not negative", _OUTSIDE, _BLOCKS),
    _unchecked(
        "cache-overflow",
        "cache_seqlens and the new keys fit the cache",
        "it reads and writes outside the cache",
        _BLOCKS,
    ),
    _checked(
        "append-needs",
        "new keys come with new values and cache_seqlens",
        _API + "mha_fwd_kvcache",
    ),
    _unchecked(
        "append-values-only",
        "new values come with new keys",
        "it ignores them",
        _API + "mha_fwd_kvcache",
    ),
    _checked(
        "append-queries",
        "with new keys there are not more queries than the cache has rows",
        _API + "mha_fwd_kvcache",
    ),
    _checked("splits", "num_splits is at most 128", _API + "set_params_splitkv"),
    _checked(
        "batch-index-paged",
        "cache_batch_idx comes without block_table",
        _API + "mha_fwd_kvcache",
    ),
    _unchecked(
        "batch-index-length",
        "cache_batch_idx has one entry a sequence",
        _OUTSIDE,
        _API + "mha_fwd_kvcache (no CHECK_SHAPE)",
    ),
    _unchecked(
        "batch-index-range",
        "cache_batch_idx lies in the cache",
        "it reads and writes outside the cache",
        _SPLIT,
    ),
    _unchecked(
        "batch-index-twice",
        "cache_batch_idx names no row twice while new keys are written",
        "the sequences overwrite each other's keys",
        _SPLIT,
    ),
)

ROTARY: Final = (
    _checked(
        "rotary-append",
        "rotary tables come with new keys",
        _API + "mha_fwd_kvcache",
    ),
    _unchecked(
        "rotary-sin-only",
        "rotary_sin comes with rotary_cos",
        "it ignores it",
        _API + "mha_fwd_kvcache",
    ),
    _checked(
        "rotary-size",
        "the rotary size is at most the head size (and in fwd_kvcache a multiple of 16)",
        _API + "mha_fwd_kvcache; ops/triton/rotary.py: apply_rotary",
    ),
    _checked(
        "rotary-rows",
        "the rotary tables have a row for every row of the cache (of the sequence)",
        _API + "mha_fwd_kvcache; ops/triton/rotary.py: apply_rotary",
    ),
    _checked(
        "rotary-shape",
        "cos and sin have one shape",
        _API + "CHECK_SHAPE; ops/triton/rotary.py: apply_rotary",
    ),
    _unchecked(
        "rotary-queries",
        "the last query's position lies in the rotary tables",
        _OUTSIDE,
        "src/rotary.h: copy_rotary_contiguous",
    ),
    _unchecked(
        "rotary-offset-negative",
        "rotary offsets are not negative",
        _OUTSIDE,
        "ops/triton/rotary.py: rotary_kernel",
    ),
    _unchecked(
        "rotary-offset-past",
        "rotary offsets and the sequence fit the tables",
        "with a tensor of offsets it leaves rows past the end unrotated",
        "ops/triton/rotary.py: rotary_kernel (mask_cs)",
    ),
)

PRECONDITIONS: Final[dict[str, Precondition]] = {
    row.code: row for row in (*TENSORS, *SEQUENCES, *CACHE, *ROTARY)
}
