"""How pictures are fetched and stored: DataComp's settings of img2dataset, whatever was given besides, all of it recorded."""

import json
from collections.abc import Iterable
from typing import Any

from datacomp.errors import PoolError
from datacomp.records import Count, Line, Record

SETTINGS = "settings.json"
SHARD_SAMPLES = 10_000
DIGITS = 8  # of a shard's number
Value = float | int | Line | bool | tuple[Line, ...] | None

DATACOMP: dict[str, Value] = {
    "image_size": 512,
    "resize_mode": "keep_ratio_largest",
    "resize_only_if_bigger": True,
    "encode_format": "jpg",
    "encode_quality": 95,
    "bbox_col": "face_bboxes",  # faces are blurred
    "retries": 2,
    "timeout": 10,  # seconds without a byte
    "extract_exif": True,
    "compute_hash": "sha256",
    "disallowed_header_directives": ("noai", "noimageai", "noindex", "noimageindex"),  # X-Robots-Tag: what says so is left out
    "user_agent_token": None,
}
_FURTHER = (
    "upscale_interpolation",
    "downscale_interpolation",
    "skip_reencode",
    "disable_all_reencoding",
    "min_image_size",
    "max_image_area",
    "max_aspect_ratio",
    "save_additional_columns",
    "verify_hash",
    "enable_wandb",
    "wandb_project",
)
_OURS = (
    "url_list",
    "output_folder",
    "processes_count",
    "thread_count",
    "output_format",
    "input_format",
    "url_col",
    "caption_col",
    "number_sample_per_shard",
    "oom_shard_count",
    "incremental_mode",
    "max_shard_retry",
    "distributor",
    "subjob_size",
)


class Settings(Record):
    """What the pictures are a function of, besides the web; a restart with other settings is refused."""

    downloader: Line
    options: dict[Line, Value]
    shard_samples: Count
    url_limit_s: float  # one url with its retries and redirects
    max_url_bytes: Count


def read_options(given: Iterable[str], columns: Iterable[str]) -> dict[str, Value]:
    """DataComp's options with those given as key=value; values are JSON where they can be.

    Raises PoolError for an option that img2dataset does not have, or that is not free here.
    """
    options, there = dict(DATACOMP), set(columns)
    if options["bbox_col"] not in there:
        options["bbox_col"] = None  # one's own urls, without known faces
    for text in given:
        key, equals, value = text.removeprefix("--").partition("=")
        if key in _OURS:
            raise PoolError(f"img2dataset's option {key} is set by datacomp", allowed="--processes and --threads for their numbers; all others of its options")
        if (key not in DATACOMP and key not in _FURTHER) or not equals:
            raise PoolError(f"{text!r} is no option of img2dataset", allowed=f"key=value with one of {', '.join(sorted({*DATACOMP, *_FURTHER}))}")
        options[key] = _value(value)
    for column in columns_of(options).values():
        if column not in there:
            raise PoolError(f"the metadata have no column {column!r}, which an option of img2dataset names", allowed=", ".join(sorted(there)))
    return options


def columns_of(options: dict[str, Value]) -> dict[str, str]:
    """The columns that img2dataset is handed, under its names and ours; the url comes last."""
    names = ["uid", *_names(options.get("save_additional_columns")), *_names(options.get("bbox_col"))]
    column, kind = (*_names(options.get("verify_hash")), "", "")[:2]
    return {**{name: name for name in names}, "caption": "text", **({kind: column} if kind else {}), "url": "url"}


def arguments(options: dict[str, Value]) -> dict[str, Any]:
    """The options as img2dataset's own face takes them."""
    given: dict[str, Any] = {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}
    return given | {"url_col": "url", "caption_col": "text", "output_format": "webdataset", "input_format": "parquet", "oom_shard_count": DIGITS}


def _names(value: Value) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else (str(value),) if value else ()


def _value(text: str) -> Value:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return tuple(str(item) for item in value) if isinstance(value, list) else value if isinstance(value, (bool, int, float, str)) or value is None else text
