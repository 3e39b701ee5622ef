"""What a run says of itself while it runs: log.jsonl, TensorBoard's files, and Weights & Biases where asked for. Clocks and speeds stand here alone."""

import json
import platform
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from datacomp import digest
from datacomp.artifacts.run_folder import LOG
from datacomp.errors import StageError

TENSORBOARD = "tensorboard"
_EVERY_S = 5.0


class Log:
    """The log of one start of a run; a run that is started again appends to it."""

    def __init__(self, run: Path, start: int, hardware: dict[str, Any], *, batch_samples: int, processes: int, wandb: str = "") -> None:
        from tensorboardX import SummaryWriter

        self._batch_samples, self._processes = batch_samples, processes
        self._wandb = _wandb_run(wandb, run, hardware) if wandb else None
        self._file = (run / LOG).open("a")
        self._board = SummaryWriter(str(run / TENSORBOARD), purge_step=start)
        self._began = self._last = time.monotonic()
        self._start = self._last_step = start
        self._write({"event": "start", "step": start, "time": time.time(), "host": platform.node(), **hardware})

    def is_due(self) -> bool:
        """Whether some seconds have passed since the last line."""
        return time.monotonic() - self._last > _EVERY_S

    def add(self, step: int, values: dict[str, float]) -> None:
        """Log what holds after so many steps."""
        now = time.monotonic()
        speed = (step - self._last_step) * self._batch_samples / max(now - self._last, 1e-9)
        self._last, self._last_step = now, step
        values = values | {"samples_per_s": round(speed, 1)}
        self._write({"step": step, "samples_seen": step * self._batch_samples, **values, "time": time.time()})
        for name, value in values.items():
            self._board.add_scalar(name, value, step)
        if self._wandb is not None:
            self._wandb.log(values, step=step)

    def projected_s(self, steps: int) -> float:
        """How long so many steps take at the speed of this start, its first seconds included."""
        return (time.monotonic() - self._began) / max(self._last_step - self._start, 1) * steps

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        passed_s = time.monotonic() - self._began
        ended = {"event": "end", "step": self._last_step, "seconds": round(passed_s, 1), "device_hours": round(passed_s * self._processes / 3600, 4)}
        self._write(ended | {"error": str(error)[:200] if error else "", "time": time.time()})
        self._file.close()
        self._board.close()
        if self._wandb is not None:
            self._wandb.finish(exit_code=1 if error else 0)


def _wandb_run(project: str, run: Path, hardware: dict[str, Any]) -> Any:
    try:
        import wandb
    except ImportError:
        raise StageError("Weights & Biases is not installed here", repair="pip install wandb, or leave out --wandb") from None
    return wandb.init(project=project, name=run.name, dir=str(run), config=hardware, resume="allow", id=_wandb_id(run))


def _wandb_id(run: Path) -> str:
    """The same for each start of a run."""
    return digest.of_bytes(str(run.resolve()).encode())[:16]
