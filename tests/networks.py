"""Small networks as open_clip stores them."""

import json

import open_clip
import torch
from safetensors.torch import save_file

CONFIG = {
    "model_cfg": {
        "embed_dim": 8,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
        "text_cfg": {"vocab_size": 49408, "context_length": 20, "width": 16, "heads": 1, "layers": 1},
    },
    "preprocess_cfg": {"size": 32, "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "interpolation": "bilinear", "resize_mode": "shortest"},
}


def write_model(folder, seed=0):
    """A small CLIP as open_clip stores one."""
    folder.mkdir()
    torch.manual_seed(seed)
    (folder / "open_clip_config.json").write_text(json.dumps(CONFIG))
    save_file(open_clip.CLIP(**CONFIG["model_cfg"]).state_dict(), folder / "open_clip_model.safetensors")
    return folder
