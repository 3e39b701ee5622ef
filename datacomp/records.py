"""Records: values that cross a file boundary. TOML for what people write, canonical JSON for what programs write.

Every key is declared, unknown keys are refused, nothing is coerced, NaN and infinity do not exist.
"""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import pydantic

from datacomp import digest, files
from datacomp.errors import RecordError

Line = Annotated[str, pydantic.Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]  # shown on pages and terminals
Digest = Annotated[str, pydantic.Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, pydantic.Field(ge=0)]

MAX_RECORD_BYTES = 64 << 20  # records are small; a file of 200 MB that claims to be one is not read


class Record(pydantic.BaseModel):
    """A frozen value with a canonical text and a digest."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
    max_bytes: ClassVar[int] = MAX_RECORD_BYTES

    @classmethod
    def parse(cls, text: str | bytes, where: str) -> Self:
        """Read a record from JSON; `where` names the source in errors."""
        try:
            return cls.model_validate_json(text)
        except pydantic.ValidationError as error:
            raise cls._refused(where, error) from None

    @classmethod
    def of(cls, content: Mapping[str, object], where: str) -> Self:
        """Make a record of values that somebody gave; `where` names them in errors."""
        try:
            return cls.model_validate(content)
        except pydantic.ValidationError as error:
            raise cls._refused(where, error) from None

    @classmethod
    def _refused(cls, where: str, error: pydantic.ValidationError) -> RecordError:
        return RecordError(f"{where} is no {cls.__name__.lower()} record: {_first_problem(error)}", repair=f"write it as {cls.__module__} declares it")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a record from a .toml or .json file."""
        text = json.dumps(read_toml(path), allow_nan=True) if path.suffix == ".toml" else read_bytes(path, cls.max_bytes)
        return cls.parse(text, str(path))

    def plain(self) -> dict[str, Any]:
        """The record as JSON values. What was never set is not written, so that a field added later changes no old digest."""
        content: dict[str, Any] = self.model_dump(mode="json", exclude_unset=True)
        return content

    def differing(self, other: Self) -> list[str]:
        """The fields in which another record of this kind differs, in the order of their declaration."""
        return [name for name in type(self).model_fields if getattr(self, name) != getattr(other, name)]

    def digest(self) -> str:
        """The sha256 of the canonical form: equal to that of the file that `write` makes."""
        return digest.of_content(self.plain())

    def write(self, path: Path) -> None:
        """Write the record in canonical form, whole or not at all."""
        files.write_text(path, digest.canonical(self.plain()))


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file of ours or of a user."""
    try:
        return tomllib.loads(read_bytes(path).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecordError(f"{path} is not TOML: {error}", repair="correct the line that is named") from None
    except RecursionError:
        raise RecordError(f"{path} holds lists or tables in each other, too deep to be read", allowed="what the records of the data rooms look like") from None


def read_bytes(path: Path, most: int = MAX_RECORD_BYTES) -> bytes:
    """The bytes of a file of a record's size."""
    try:
        if path.stat().st_size > most:
            raise RecordError(f"{path} has {path.stat().st_size:,} bytes", allowed=f"records of up to {most:,} bytes")
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise RecordError(f"there is no record at {path}", repair="check the path, or run the stage that writes it") from None


def _first_problem(error: pydantic.ValidationError) -> str:
    problems = error.errors(include_url=False, include_input=False)
    first = problems[0]
    place = ".".join(str(part) for part in first["loc"]) or "the whole"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{place[:200]}: {first['msg'][:200]}{more}"
