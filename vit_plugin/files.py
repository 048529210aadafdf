"""Files in folders."""
import os
from pathlib import Path


def visible_files(folder: str | Path) -> list[str]:
    """All files below a folder whose names do not begin with a dot, relative to it."""
    return sorted(os.path.relpath(os.path.join(place, name), folder)
                  for place, _, names in os.walk(folder, followlinks=True)
                  for name in names if not name.startswith('.'))
