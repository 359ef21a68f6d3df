"""The licence page of the bundled sounds: a line for each, and the texts that have to go with them."""

from __future__ import annotations

import textwrap

_HEAD = """# Bundled sounds

Made by `python -m research make-sounds` from packages of pinned versions; each is cut at its attack, brought to one level
and stored as FLAC or Opus. Changed from the originals in that alone. Synthesised sounds are this project's own. CC BY 3.0:
https://creativecommons.org/licenses/by/3.0/ - CC0 1.0: https://creativecommons.org/publicdomain/zero/1.0/ - Apache-2.0: the
file LICENSE at the top of this pack - MIT: below.

| file | author | licence | source | sha256 |
|---|---|---|---|---|
"""

_FLUID = """
## Fluid sound font

Copyright (c) 2000-2002, 2008 Frank Wen. Copyright (c) 2008 Toby Smithe.

    Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation
    files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy,
    modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
    Software is furnished to do so, subject to the following conditions:

    The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
    Software.

    THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
    WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
    COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE,
    ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def licence_page(rows: list[dict]) -> str:
    """Markdown: a line for each sound of the index."""
    lines = []
    for row in rows:
        source = row["source"] + (" (synthesised)" if row["synthesised"] else "")
        cells = [f"`{row['file']}`", row["author"], row["licence"], source.replace("|", "/"), f"`{row['sha256']}`"]
        lines.append(f"| {' | '.join(cells)} |")
    return _HEAD + "\n".join(lines) + "\n" + textwrap.dedent(_FLUID)
