"""Networks are conditioned, predict and attend, as everywhere in the field: the words of an older metaphor stay out."""

import io
import re
import tokenize

import pytest

from tools.environment import ROOT

#: In identifiers, strings, comments and documentation.
NEVER = {"told", "heard", "spoken", "said", "asked", "led", "ear", "ears", "listener", "listeners"}
#: In identifiers.
NEVER_NAMES = NEVER | {"beside", "borrowed", "claim", "claims", "economy", "lead", "says", "spoil", "spoiled", "steered"}
#: Files about people's ears and places in a room, about lead-in times, and a name in the state dict of released weights.
ALLOWED = {
    "research/assets/convert_hrtf.py": {"ear"},
    "research/rooms/record.py": {"lead"},
    "research/rooms/recipe.py": {"lead"},
    "research/rooms/shards.py": {"lead"},
    "research/rooms/walkers.py": {"lead"},
    "stereosync_core/model/conditioning/aligned.py": {"claim"},
    "stereosync_core/rendering/hrtf.py": {"ear", "ears"},
    "stereosync_core/rendering/panning.py": {"ear", "ears"},
    "stereosync_core/rendering/room.py": {"ears", "listener"},
    "stereosync_core/rendering/spatialize.py": {"ear", "ears"},
}
SOURCES = [path for folder in ("nodes", "stereosync_core", "research") for path in sorted((ROOT / folder).rglob("*.py"))]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "web").rglob("*.md")), *sorted(ROOT.glob("*.md"))]


def words(text):
    """Lower-case words of a text; ``camelCase`` and ``snake_case`` are two each."""
    return set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text).replace("_", " ").lower()))


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def test_code_names_things_in_the_words_of_the_field():
    found = {}
    for path in SOURCES:
        allowed = ALLOWED.get(name_of(path), set())
        for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
            unwanted = words(token.string) & (NEVER_NAMES if token.type == tokenize.NAME else NEVER) - allowed
            if unwanted:
                found.setdefault(name_of(path), set()).update((token.start[0], word) for word in unwanted)
    assert found == {}


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_documentation_is_in_the_words_of_the_field(path):
    assert words(path.read_text(encoding="utf-8")) & NEVER == set()
