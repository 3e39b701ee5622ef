"""The test sets of a suite, where they are to be had: in a folder that was given, else in a cache that is filled on first use."""

from pathlib import Path

from datacomp import progress
from datacomp.declared.asset import cache_folder
from datacomp.declared.suite import GeneratedData, Suite
from datacomp.errors import StageError
from datacomp.evaluate import download
from datacomp.pipelines import miniature


def locate(suite: Suite, data: Path | None, tasks: tuple[str, ...] = (), *, offline: bool = False) -> Path:
    """The folder of the test sets of a suite or of some of its tasks; published ones are fetched after their size was told.

    Raises StageError where they would have to be fetched and `offline` forbids it.
    """
    if data is not None:
        return data
    cache = cache_folder() / "evalsets"
    if all(isinstance(task.data, GeneratedData) for task in suite.tasks):
        return miniature.make_test_sets(suite, cache / f"{suite.spec.name}-{suite.digest()[:12]}")
    folder = cache / suite.spec.name  # not by digest: pinning changes the records, not the sets
    if missing := download.missing(suite.chosen(tasks), folder):
        names = ",".join(task.name for task in missing)
        if offline:
            raise StageError(
                f"{len(missing)} test sets are not in {folder}, and --offline forbids fetching them: {names}",
                repair=f"datacomp evalsets download --suite {suite.spec.name} --tasks {names} --data {folder}, or give the folder that has them as --data",
            )
        remotes = download.find(missing, folder)
        download.check_layout(remotes)
        progress.say(f"{download.told(remotes)}, from the Hub into {folder}")
        download.download(remotes, folder)
    return folder
