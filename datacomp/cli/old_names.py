"""The published programs' names, answered with ours."""

from typing import Any

from typer.core import TyperGroup

from datacomp.errors import DatacompError

_NOW = {
    "download_upstream": "datacomp pool download SCALE --out DIR",
    "baselines": "datacomp filter NAME --pool DIR --out FILE.npy",
    "resharder": "datacomp reshard --scale SCALE --pool DIR --subset FILE.npy --out DIR",
    "aggregate_scores": "datacomp board build --entries DIR --out DIR",
    "download_evalsets": "datacomp evalsets download --suite datacomp --data DIR",
}


class Commands(TyperGroup):
    """Commands that know what they were called before."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find a command; an old name is answered with the new one."""
        name = args[0].removesuffix(".py").replace("-", "_")
        if args[0] not in self.commands and name in _NOW:
            raise DatacompError(f"{args[0]} is the name of a published program", repair=_NOW[name])
        return super().resolve_command(ctx, args)
