"""What cards, the pages that introduce weights and lists to readers of the Hub, say alike."""

from datacomp.artifacts.run import Source


def code(text: str) -> str:
    """A name in a card, where it is neither markup nor a link, whatever characters it has."""
    return f"`{text.replace('`', '?') or '?'}`"


def source(said: Source) -> str:
    """What a run was trained on."""
    listed = f"a list of sha256 {code(said.subset.uids_sha256)}"
    return f"trained on {code(said.name)}: {said.samples:,} samples of pool {code(said.pool)}, {listed}, weight {said.weight:g}"
