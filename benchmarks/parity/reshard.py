"""Run the published resharder on nasty tars and write what it gave: the golden that tests/test_reshard_parity.py compares with.

    python benchmarks/parity/reshard.py PYTHON CHECKOUT tests/golden/reshard.json

CHECKOUT is https://github.com/mlfoundations/datacomp at 4a8df19; PYTHON has numpy 1.23.5, pyarrow 14.0.2, webdataset 0.2.31, pysimdjson,
cloudpathlib, opencv-python-headless 4.8 and img2dataset 1.40.0 (of which only the blurring is imported). Its files are not changed.
"""

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

import nasty_tars


def answer(python: str, checkout: Path, seed: int) -> list[list[str]]:
    """Name and sha256 of every member that the published resharder writes, sorted."""
    with tempfile.TemporaryDirectory() as folder:
        pool, out = Path(folder) / "pool", Path(folder) / "out"
        listed = nasty_tars.make(pool, seed)
        out.mkdir()
        command = [python, str(checkout / "resharder.py"), "-i", str(pool), "-o", str(out), "-s", str(listed), "-j", "1"]
        subprocess.run(command, check=True, capture_output=True)
        found = []
        for path in sorted(out.glob("*.tar")):
            with tarfile.open(path) as tar:
                found += [[info.name, hashlib.sha256(tar.extractfile(info).read()).hexdigest()] for info in tar]  # type: ignore[union-attr]
        return sorted(found)


def main() -> None:
    """Write the golden."""
    python, checkout, golden = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    answers = {str(seed): answer(python, checkout, seed) for seed in nasty_tars.SEEDS}
    golden.write_text(json.dumps(answers, indent=0) + "\n")
    print({seed: len(found) for seed, found in answers.items()})


if __name__ == "__main__":
    main()
