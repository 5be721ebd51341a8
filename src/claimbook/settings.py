"""What differs from book to book: the table `[tool.claimbook]` of the `pyproject.toml` at the book's root."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path


class SettingsError(ValueError):
    """The table `[tool.claimbook]` is not valid."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """One book's settings.

    Attributes
    ----------
    name : str
        Names the record of an execution in a notebook's metadata, the type under which a claim stands in its
        outputs, and the PDF.
    source : str
        What the book is about, as in "beyond the paper".
    library : str
        Package whose public names the reference pages list; empty for none.
    public : list of str
        Subpackages and modules of it of which those pages list all; of others they tell the purpose only.
    versions : list of str
        Distributions whose versions are recorded with each execution.
    """

    name: str = "claimbook"
    source: str = "paper"
    library: str = ""
    public: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()

    @property
    def mime_type(self) -> str:
        """Type under which a check leaves its record in a notebook's output."""
        return f"application/vnd.{self.name}.claim+json"

    @property
    def changed_type(self) -> str:
        """Type under which a run leaves in what its parameters differ from the source's."""
        return f"application/vnd.{self.name}.changed+json"


def read_settings(folder: Path) -> Settings:
    """Return the settings of the book that a folder belongs to; the defaults if no file there has any."""
    folder = folder.resolve()
    for path in (parent / "pyproject.toml" for parent in (folder, *folder.parents)):
        if not path.is_file():
            continue
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("claimbook")
        if table is not None:
            return from_table(table, path)
    return Settings()


def from_table(table: dict[str, object], path: Path) -> Settings:
    """Validate a table; lists become tuples."""
    defaults = dataclasses.asdict(Settings())
    for key, value in table.items():
        if isinstance(defaults.get(key), tuple):
            wanted = "a list of texts"
            fits = isinstance(value, list) and all(isinstance(item, str) for item in value)
        else:
            wanted = "text" if key in defaults else f"left out; the keys are {', '.join(defaults)}"
            fits = key in defaults and isinstance(value, str)
        if not fits:
            raise SettingsError(f"{path}: `{key}` under [tool.claimbook] must be {wanted}, but is {value!r}.")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    return Settings(**values)  # type: ignore[arg-type]
