"""Out of the house: a run's checkpoint as a folder that open_clip loads, from this disk or from the Hub."""

import shutil
from pathlib import Path
from typing import Any

from datacomp import digest, files
from datacomp.artifacts import card as cards
from datacomp.artifacts import run as runs
from datacomp.artifacts.run import Checkpoint, Run
from datacomp.declared.scale import Scale, Tokens
from datacomp.errors import StageError
from datacomp.network import build, load

CARD = "README.md"
WEIGHTS = "open_clip_model.safetensors"
CONFIG = "open_clip_config.json"  # without it open_clip loads nothing, so it is written last

_CARD = """---
library_name: open_clip
pipeline_tag: zero-shot-image-classification
tags:
- clip
- datacomp
---

# CLIP trained by datacomp at scale {scale}

{facts}

## How to load it

From a folder:

```python
{from_folder}
```

From the Hub:

{from_hub}

In float32, on one machine and in equal batches, pictures get bit for bit the embeddings that `datacomp evaluate` measures, captions the same but for rounding
(about 1e-7), since it reads them only up to their end. clip_benchmark loads it too:

    clip_benchmark eval --model local-dir:FOLDER --no_amp --output result.json --dataset …

(`--output`, since the name it would choose holds the model's, slashes and all.)
"""

_FROM_DATA_SET = """    hf download OWNER/NAME --repo-type dataset --include '{folder}/*' --local-dir BUNDLE

then as above, FOLDER being `BUNDLE/{folder}`."""

_FIRST_MERGES = """
The tokenizer is CLIP's with its first {count:,} merges only, which stand in `{name}`. The config names that file, and open_clip looks for it in the
working directory; `bpe_path` says where it lies instead. Where it is not found, open_clip ends with an error. clip_benchmark names no `bpe_path`: start it
in a folder that holds the file.
"""


def export(run: Run, scale: Scale, out: Path, *, step: int | None = None) -> Checkpoint:
    """Write a checkpoint of a run, by default the last, as open_clip's safetensors and config with a model card; return which it was.

    What was killed goes on when it is started again. Raises StageError where `out` holds anything else, and for weights that are not
    those of the run's record or do not fit the scale's model.
    """
    run.record.inputs.check(scale)
    checkpoint = _checkpoint(run, step)
    content = _content(run, scale, checkpoint)
    sha256 = {name: checkpoint.sha256 if isinstance(one, Path) else digest.of_bytes(one) for name, one in content.items()}
    _missing(out, sha256)  # a folder with anything else is left as it is
    network = build.model(scale.model, image_size=scale.pixels.size, logit_scale_start=scale.loss.logit_scale_start)
    load.load_weights(network, runs.weights_path(run.path, checkpoint.step))  # refuses what would not load elsewhere either
    with files.writing(out, leave_lock=False):
        for name in _missing(out, sha256):
            with files.whole(out / name) as temporary:
                if isinstance(one := content[name], Path):
                    shutil.copyfile(one, temporary)
                else:
                    temporary.write_bytes(one)
    return checkpoint


def _checkpoint(run: Run, step: int | None) -> Checkpoint:
    """The run's checkpoint after a step, whose weights are those of its record."""
    kept = run.record.checkpoints
    found = kept[-1] if step is None else next((checkpoint for checkpoint in kept if checkpoint.step == step), None)
    if found is None:
        raise StageError(f"{run.path} has no checkpoint after step {step}", allowed=", ".join(str(checkpoint.step) for checkpoint in kept))
    path = runs.weights_path(run.path, found.step)
    if not path.is_file() or digest.of_file(path) != found.sha256:
        raise StageError(f"{path} is not the checkpoint that {runs.RECORD} names", repair="restore the file, or train again")
    return found


def _content(run: Run, scale: Scale, checkpoint: Checkpoint) -> dict[str, bytes | Path]:
    """Every file of the export in the order of writing, as its bytes or as the file to copy."""
    content: dict[str, bytes | Path] = {**beside_weights(run, scale, checkpoint), WEIGHTS: runs.weights_path(run.path, checkpoint.step)}
    content[CONFIG] = content.pop(CONFIG)
    return content


def beside_weights(run: Run, scale: Scale, checkpoint: Checkpoint, folder: str = "") -> dict[str, bytes]:
    """What open_clip and readers need in the folder of a checkpoint's weights: card, tokenizer, config. `folder` is as in `card`."""
    tokens = {} if build.has_all_merges(scale.tokens) else {merges_name(scale.tokens): build.first_merges(scale.tokens.merges)}
    return {CARD: card(run, scale, checkpoint, folder).encode(), **tokens, CONFIG: digest.canonical(config(scale)).encode()}


def _missing(out: Path, sha256: dict[str, str]) -> list[str]:
    """Which of the files are still to be written, in their order.

    Raises StageError where the folder holds anything but files of these names and digests.
    """
    held = files.held(out)
    for path in held:
        if not path.is_file() or digest.of_file(path) != sha256.get(path.name):
            raise StageError(f"{out} holds {path.name}, which is no part of this export", allowed="a new or an empty folder", repair="choose another --out")
    return [name for name in sha256 if out / name not in held]


def config(scale: Scale) -> dict[str, Any]:
    """What open_clip is told of a scale's model and of how it sees pictures and captions."""
    model = build.open_clip_config(scale.model, image_size=scale.pixels.size)
    if not build.has_all_merges(scale.tokens):
        model["text_cfg"]["tokenizer_kwargs"] = {"bpe_path": merges_name(scale.tokens)}
    pixels = scale.pixels
    preprocess = {
        "size": pixels.size,
        "mode": "RGB",
        "mean": list(pixels.mean),
        "std": list(pixels.std),
        "interpolation": pixels.interpolation,
        "resize_mode": "shortest",
    }
    return {"model_cfg": model, "preprocess_cfg": preprocess}


def merges_name(tokens: Tokens) -> str:
    """The file of the merges of a tokenizer that open_clip does not carry; scales with other merges have another name."""
    return f"bpe_{tokens.merges}_merges.txt.gz"


def card(run: Run, scale: Scale, checkpoint: Checkpoint, folder: str = "") -> str:
    """The model card: what the run was, and how its weights are loaded; `folder` is theirs in a data set's repository, if they lie in one."""
    inputs = run.record.inputs
    weights = f"the weights after step {checkpoint.step:,} of {scale.budget.steps:,}, sha256 {cards.code(checkpoint.sha256)}"
    facts = (
        f"scale {cards.code(scale.name)}, a {scale.status} recipe, sha256 {cards.code(inputs.recipe_sha256)}; division {inputs.division}, seed {inputs.seed}",
        *map(cards.source, inputs.sources),
        f"{checkpoint.samples_seen:,} samples seen: {weights}",
        f"run: {runs.RECORD} has sha256 {cards.code(run.digest)}",
    )
    merges = "" if build.has_all_merges(scale.tokens) else merges_name(scale.tokens)
    from_hub = _loading("hf-hub:OWNER/NAME", merges and f'hf_hub_download("OWNER/NAME", "{merges}")')
    text = _CARD.format(
        scale=scale.name,
        facts="\n".join(f"* {fact}" for fact in facts),
        from_folder=_loading("local-dir:FOLDER", merges and f'"FOLDER/{merges}"'),
        from_hub=_FROM_DATA_SET.format(folder=folder) if folder else f"```python\n{from_hub}\n```",
    )
    return text + (_FIRST_MERGES.format(count=scale.tokens.merges, name=merges) if merges else "")


def _loading(name: str, bpe_path: str) -> str:
    """Python that makes model, preprocessing and tokenizer."""
    lines = (
        "import open_clip",
        *(("from huggingface_hub import hf_hub_download",) if "hf_hub_download" in bpe_path else ()),
        "",
        f'model, _, preprocess = open_clip.create_model_and_transforms("{name}")',
        "model.eval()",
        f'tokenizer = open_clip.get_tokenizer("{name}"{bpe_path and f", bpe_path={bpe_path}"})',
    )
    return "\n".join(lines)
