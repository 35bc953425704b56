"""What flash-attn's compiled extension takes for granted, as data: one row a precondition.

Read in the sources of flash-attn 2.8.3.post2: csrc/flash_attn/flash_api.cpp, below it src/, and
flash_attn/ops/triton/rotary.py. What happens unchecked follows from reading, not from running.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_API: Final = "csrc/flash_attn/flash_api.cpp:"
_SRC: Final = "csrc/flash_attn/src/"
_TRITON: Final = "flash_attn/ops/triton/rotary.py:"


@dataclass(frozen=True, slots=True)
class Precondition:
    """One thing that must hold when the extension is called.

    Attributes:
        code: its name, stable.
        sentence: what must hold.
        consequence: what happens where it does not hold, "" where the extension itself checks it
            and raises.
        source: file and line: of the check, or of where what was not checked is used; the first of
            several functions that do the same, and more than one place where it takes them.
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

TENSORS: Final = (
    _checked("argument-type", "every argument has its type", _API + "1478"),
    _checked("rank", "tensors have the dimensions of the function", _API + "416"),
    _checked("shape", "shapes fit each other", _API + "417"),
    _checked("dtype", "queries are float16 or bfloat16", _API + "373"),
    _checked("same-dtype", "all floating tensors have the queries' dtype", _API + "375"),
    _checked("device", "all tensors are on the queries' kind of device", _API + "378"),
    _unchecked(
        "device-index",
        "all tensors are on the queries' own device",
        "it uses an address of another device",
        _API + "20",
    ),
    _checked("last-stride", "the last dimension is contiguous", _API + "380"),
    _unchecked(
        "pointer-alignment",
        "tensors start at a multiple of 8 elements",
        "it loads 16 bytes at an address that is no multiple of 16 (misaligned address)",
        _SRC + "kernel_traits.h:127",
    ),
    _unchecked(
        "stride-alignment",
        "all strides but the last are multiples of 8 elements",
        "it loads 16 bytes at an address that is no multiple of 16 (misaligned address)",
        _SRC + "kernel_traits.h:127" + "; " + _API + "65",
    ),
    _unchecked(
        "output-overlap",
        "what is written does not overlap itself",
        "blocks of threads overwrite each other's results",
        _API + "71",
    ),
    _checked("batch-empty", "there is at least one sequence", _API + "392"),
    _checked(
        "queries-empty",
        "there is at least one query (max_seqlen_q of at least 1)",
        _SRC + "flash_fwd_launch_template.h:92",
    ),
    _checked(
        "keys-empty",
        "a backward pass has at least one key (max_seqlen_k of at least 1)",
        _SRC + "flash_bwd_launch_template.h:112",
    ),
    _checked(
        "grid",
        "batch and heads are at most 65535 each",
        _SRC + "flash_fwd_launch_template.h:92",
    ),
    _checked("head-size-256", "the head size is at most 256", _API + "393"),
    _checked("head-size-8", "the head size is a multiple of 8", _API + "394"),
    _unchecked(
        "key-heads",
        "there is at least one key head",
        "it divides by zero on the host, which kills the process",
        _API + "395",
    ),
    _checked("gqa", "query heads are a multiple of key heads", _API + "395"),
    _checked("dropout-1", "dropout_p is below 1", _API + "132"),
    _unchecked(
        "dropout-negative",
        "dropout_p is not negative",
        "it runs without dropout",
        _SRC + "flash_fwd_launch_template.h:175",
    ),
    _checked("softcap-dropout", "softcap comes without dropout", _API + "397"),
    _unchecked(
        "softcap-negative",
        "softcap is not negative",
        "it runs without softcap",
        _API + "112",
    ),
    _checked("softmax-dropout", "return_softmax comes with dropout", _API + "445"),
    _checked("alibi-dtype", "alibi_slopes are float32", _API + "338"),
    _checked("alibi-stride", "alibi_slopes' last stride is 1", _API + "340"),
    _checked(
        "alibi-shape",
        "alibi_slopes are (heads,) or (batch, heads)",
        _API + "341",
    ),
    _unchecked(
        "lse-shape",
        "softmax_lse has the shape that the forward pass returned",
        _OUTSIDE + ", or takes other rows' values",
        _SRC + "flash_bwd_kernel.h:151" + "; " + _API + "812",
    ),
    _unchecked(
        "lse-dtype",
        "softmax_lse is float32",
        "it takes the bytes for float32",
        _SRC + "flash_bwd_kernel.h:151" + "; " + _API + "812",
    ),
    _unchecked(
        "lse-contiguous",
        "softmax_lse is contiguous",
        "it takes other rows' values",
        _SRC + "flash_bwd_kernel.h:151" + "; " + _API + "812",
    ),
)

SEQUENCES: Final = (
    _checked("int32", "lengths, starts and indices are int32", _API + "549"),
    _checked("contiguous", "lengths, starts and tables are contiguous", _API + "568"),
    _checked("side-shape", "lengths, starts and tables fit the batch", _API + "622"),
    _unchecked(
        "cu-first",
        "cu_seqlens start at 0",
        "the rows before the first sequence stay uninitialised",
        _SRC + "block_info.h:17",
    ),
    _unchecked(
        "cu-order",
        "cu_seqlens do not decrease",
        "a sequence of negative length is skipped, and rows are written twice or never",
        _SRC + "block_info.h:19",
    ),
    _unchecked(
        "cu-past-end",
        "cu_seqlens do not pass the last row",
        "it reads and writes outside the tensor",
        _SRC + "block_info.h:30",
    ),
    _unchecked(
        "cu-short",
        "cu_seqlens end at the last row",
        "the rows after the last sequence stay uninitialised, or are never seen",
        _SRC + "block_info.h:19" + "; " + _API + "643",
    ),
    _unchecked(
        "max-seqlen-low",
        "max_seqlen is at least the longest sequence",
        "queries past it stay uninitialised, a window of at least it is dropped, and 1 drops the "
        "causal mask",
        _SRC + "flash_fwd_launch_template.h:63" + "; " + _API + "608" + "; " + _API + "585",
    ),
    _checked(
        "one-query-each",
        "with max_seqlen_q of 1 and grouped heads there is one query a sequence",
        _API + "595",
    ),
    _checked("leftpad-paged", "leftpad comes without block_table", _API + "710"),
    _unchecked(
        "leftpad-range",
        "leftpad lies between 0 and the sequence's keys",
        "a negative one reads other sequences' keys or outside the tensor, a larger one gives 0",
        _SRC + "block_info.h:35",
    ),
    _unchecked(
        "seqused-range",
        "seqused_k lies between 0 and the sequence's keys",
        "it reads other sequences' keys or outside the tensor",
        _SRC + "block_info.h:24",
    ),
    _checked("page-size", "the page size is a multiple of 256", _API + "583"),
    _checked("page-stride", "block_table's last stride is 1", _API + "562"),
    _unchecked(
        "page-table-short",
        "block_table has a column for every page in use",
        "it takes the next sequence's pages, or reads outside the table",
        _SRC + "flash_fwd_kernel.h:590",
    ),
    _unchecked(
        "page-range",
        "pages in use lie in the cache",
        "it reads and writes outside the cache",
        _SRC + "flash_fwd_kernel.h:590",
    ),
)

CACHE: Final = (
    _unchecked(
        "cache-batch",
        "the cache has a row for every sequence",
        _OUTSIDE,
        _SRC + "block_info.h:35" + "; " + _API + "1267",
    ),
    _unchecked(
        "cache-length-negative",
        "cache_seqlens are not negative",
        _OUTSIDE,
        _SRC + "block_info.h:23",
    ),
    _unchecked(
        "cache-overflow",
        "cache_seqlens and the new keys fit the cache",
        "it reads and writes outside the cache",
        _SRC + "block_info.h:24",
    ),
    _checked(
        "append-needs",
        "new keys come with new values and cache_seqlens",
        _API + "1354",
    ),
    _unchecked(
        "append-values-only",
        "new values come with new keys",
        "it ignores them",
        _API + "1353",
    ),
    _checked(
        "append-queries",
        "with new keys there are not more queries than the cache has rows",
        _API + "1356",
    ),
    _checked("splits", "num_splits is at most 128", _API + "325"),
    _checked(
        "batch-index-paged",
        "cache_batch_idx comes without block_table",
        _API + "1247",
    ),
    _unchecked(
        "batch-index-length",
        "cache_batch_idx has one entry a sequence",
        _OUTSIDE,
        _API + "1436",
    ),
    _unchecked(
        "batch-index-range",
        "cache_batch_idx lies in the cache",
        "it reads and writes outside the cache",
        _SRC + "flash_fwd_kernel.h:583",
    ),
    _unchecked(
        "batch-index-twice",
        "cache_batch_idx names no row twice while new keys are written",
        "the sequences overwrite each other's keys",
        _SRC + "flash_fwd_kernel.h:583",
    ),
)

ROTARY: Final = (
    _checked(
        "rotary-append",
        "rotary tables come with new keys",
        _API + "1406",
    ),
    _unchecked(
        "rotary-sin-only",
        "rotary_sin comes with rotary_cos",
        "it ignores it",
        _API + "1405",
    ),
    _checked(
        "rotary-size",
        "the rotary size is at most the head size (and in fwd_kvcache a multiple of 16)",
        _API + "1410" + "; " + _TRITON + "137",
    ),
    _checked(
        "rotary-rows",
        "the rotary tables have a row for every row of the cache (of the sequence)",
        _API + "1413" + "; " + _TRITON + "139",
    ),
    _checked(
        "rotary-shape",
        "cos and sin have one shape",
        _API + "1421" + "; " + _TRITON + "135",
    ),
    _unchecked(
        "rotary-queries",
        "the last query's position lies in the rotary tables",
        _OUTSIDE,
        _SRC + "flash_fwd_kernel.h:791",
    ),
    _unchecked(
        "rotary-offset-negative",
        "rotary offsets are not negative",
        _OUTSIDE,
        _TRITON + "72",
    ),
    _unchecked(
        "rotary-offset-past",
        "rotary offsets and the sequence fit the tables",
        "with a tensor of offsets it leaves rows past the end unrotated",
        _TRITON + "72",
    ),
)

PRECONDITIONS: Final[dict[str, Precondition]] = {
    row.code: row for row in (*TENSORS, *SEQUENCES, *CACHE, *ROTARY)
}
