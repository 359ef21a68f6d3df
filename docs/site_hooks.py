"""What the site adds to this folder: README.md in front, the nodes' help pages, and players in place of links to sound."""

import os
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
HELP = ROOT / "web" / "docs"
LINK = re.compile(r"(?<=\]\()([^)#:\s]+)")
SOUND = re.compile(r'<a href="([^"]+\.(opus|mp4))">(.*?)</a>')
NODE = re.compile(r'node_id="(\w+)".*?category=(?:CATEGORY|"StereoSync/(.*?)")', re.DOTALL)


def on_files(files, config):
    added = {"index.md": ROOT / "README.md", "changelog.md": ROOT / "CHANGELOG.md"}
    for path in HELP.glob("*/*.*"):
        added[f"nodes/{path.parent.name}/{'index.md' if path.name == 'en.md' else path.name}"] = path
    for place, path in added.items():
        files.append(File.generated(config, place, abs_src_path=str(path)))
    next(entry for entry in config.nav if "Nodes" in entry)["Nodes"] = _nodes()
    return files


def _nodes():
    """Help pages by the nodes' place in the menu."""
    found: dict[str, list[str]] = {}
    sources = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "nodes").glob("*.py")}
    for source in sources.values():
        imported = re.search(r"^from \.(\w+) import CATEGORY", source, re.MULTILINE)
        usual = re.search(r'^CATEGORY = "StereoSync/(.*)"', sources[imported[1]] if imported else source, re.MULTILINE)
        for node, category in NODE.findall(source):
            category = category or (usual[1] if usual else "other")
            found.setdefault(category, []).append(f"nodes/{node}/index.md")
    return [{category.capitalize(): sorted(pages)} for category, pages in sorted(found.items())]


def on_page_markdown(markdown, page, config, files):
    """Links are those of the repository: to the page where the site has one, else to the file there."""
    source = Path(page.file.abs_src_path)
    here = os.path.dirname(page.file.src_uri)
    pages = {Path(file.abs_src_path): file.src_uri for file in files if file.abs_src_path}

    def placed(link):
        target = (source.parent / link[1]).resolve()
        if not target.exists():  # the host's help panel looks for pictures below the folder of all pages
            target = HELP / link[1]
        if target in pages:
            return os.path.relpath(pages[target], here or ".")
        known = target.exists() and target.is_relative_to(ROOT)
        return f"{config.repo_url}/blob/main/{target.relative_to(ROOT).as_posix()}" if known else link[1]

    return LINK.sub(placed, markdown)


def on_page_content(html, **_):
    def player(link):
        kind = "video" if link[2] == "mp4" else "audio"
        played = f'<{kind} controls preload="metadata" style="width: 21em; max-width: 100%" src="{link[1]}"></{kind}>'
        return f'<span style="display: inline-block">{link[3]}<br>{played}</span>'

    return SOUND.sub(player, html)
