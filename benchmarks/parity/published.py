"""The published filters with local assets: importing this puts right, from outside, what they would download.

    PUBLISHED_CHECKOUT=… PUBLISHED_ASSETS='{"fasttext": "lid.176.ftz", …}' NLTK_DATA=… python benchmarks/parity/published.py METADATA OUT.npy WORKERS OPTIONS

CHECKOUT is https://github.com/mlfoundations/datacomp at 4a8df19, OPTIONS a JSON object. Run it where the published code's packages are: numpy 1.23.5,
pandas 1.5.3, pyarrow 14.0.2, torch, nltk 3.8.1, fasttext-wheel 0.9.2, gcld3 3.0.13 (built with Debian's protobuf-compiler). Its files are not
changed. The processes that it starts import this file as well.
"""

import argparse
import json
import os
import sys

ASSETS: dict[str, str] = json.loads(os.environ["PUBLISHED_ASSETS"])
sys.path.insert(0, os.environ["PUBLISHED_CHECKOUT"])

from baselines import apply_filter  # noqa: E402 - from the checkout

apply_filter.download = lambda name, *_: ASSETS[name]
apply_filter.nltk.download = lambda _: None


def answer(metadata: str, out: str, options: dict[str, object], workers: int = 1) -> None:
    """Ask the published code for one list."""
    missing = dict.fromkeys(("threshold", "fraction", "arch", "image_based_scale"))
    apply_filter.apply_filter(argparse.Namespace(metadata_dir=metadata, save_path=out, num_workers=workers, num_gpus=1, batch_size=64, **missing | options))


if __name__ == "__main__":
    answer(sys.argv[1], sys.argv[2], json.loads(sys.argv[4]), int(sys.argv[3]))
