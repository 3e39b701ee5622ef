"""Train the tiny recipe by open_clip's own trainer and write its losses: the golden that tests/test_train_parity.py compares ours with.

    python benchmarks/parity/train.py tests/golden/train.json

tests/open_clip_trainer.py says what runs; float32, one thread of a CPU. The last digits depend on torch and on the processor.
"""

import json
import sys
from importlib import metadata
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

import open_clip_trainer


def main() -> None:
    """Write the golden."""
    torch.set_num_threads(1)
    scale = open_clip_trainer.tiny()
    batches = open_clip_trainer.drawn_batches(scale)
    theirs = open_clip_trainer.theirs(scale, batches)
    versions = {name: metadata.version(name) for name in ("open_clip_torch", "torch", "timm", "numpy")}
    Path(sys.argv[1]).write_text(json.dumps({"versions": versions, "losses": theirs.losses}, indent=0) + "\n")
    print(versions, f"losses from {theirs.losses[0]:.4f} to {theirs.losses[-1]:.4f}")
    for title, plain in (("with plain AdamW", True), ("as it stands", False)):
        losses, weights = open_clip_trainer.apart(open_clip_trainer.ours(scale, batches, plain=plain), theirs)
        print(f"ours {title}: losses differ by at most {losses:.1e}, weights at any step by {weights:.1e}")


if __name__ == "__main__":
    main()
