"""The house's plan, read off the imports: which room may use which, no circles, thin nodes."""

import ast
from functools import cache
from graphlib import TopologicalSorter

from tools.environment import ROOT

PACKAGES = ("stereosync_core", "nodes", "research", "tools", "tests")


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}


def imports_of(name, path):
    """Modules of the project that a module imports: anywhere in it, for types alone as well."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                if inner in MODULES or source in MODULES:
                    yield inner if inner in MODULES else source


@cache
def graph():
    return {name: set(imports_of(name, path)) - {name} for name, path in MODULES.items()}


def arrows(allowed):
    """``module -> module`` for imports that ``allowed(importer, imported)`` refuses."""
    return [f"{one} -> {other}" for one, others in graph().items() for other in sorted(others) if not allowed(one, other)]


def package_of(name):
    return name.split(".")[0]


def test_nodes_and_research_use_the_core_and_the_core_uses_neither():
    may = {
        "stereosync_core": {"stereosync_core"},
        "nodes": {"nodes", "stereosync_core"},
        "research": {"research", "stereosync_core"},
        "tools": set(PACKAGES),
        "tests": set(PACKAGES),
    }
    assert arrows(lambda one, other: package_of(other) in may[package_of(one)]) == []


def test_the_pack_imports_itself_relatively():
    """In a host its packages lie under a name that the host gives."""
    absolute = [
        f"{name} -> {module}"
        for name, path in MODULES.items()
        if package_of(name) in ("nodes", "stereosync_core")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for module in ([node.module] if isinstance(node, ast.ImportFrom) and node.level == 0 else [])
        if module and package_of(module) in PACKAGES
    ]
    assert absolute == []


def test_no_modules_import_one_another_in_a_circle():
    """An error of the sorter names one."""
    assert len(list(TopologicalSorter(graph()).static_order())) == len(MODULES)


#: Rooms of the core from the ground up; those of a row know nothing of each other. The face of the package is above all.
FLOORS = [
    {"errors"},
    {"scene_camera", "scene_events", "assets", "batches", "scratch"},
    {"scene"},
    {"media"},
    {"files", "timing", "sound_embedding", "scale"},
    {"sounds", "checkpoints", "pickles"},
    {"depth", "tracking", "rendering"},
    {"model", "metrics"},
    {"events", "preview", "scene_edits"},
    {"sessions"},
    {"cli"},
    {"__init__"},
    {"__main__"},
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def room_of(name):
    return name.split(".")[1] if "." in name else "__init__"


def test_a_room_of_the_core_uses_only_rooms_below_it():
    def allowed(one, other):
        if {package_of(one), package_of(other)} != {"stereosync_core"} or room_of(one) == room_of(other):
            return True
        return FLOOR_OF[room_of(one)] > FLOOR_OF[room_of(other)]

    assert {room_of(name) for name in MODULES if package_of(name) == "stereosync_core"} <= set(FLOOR_OF)
    assert arrows(allowed) == []


def core_functions_in_execute(path):
    """``(node class, core functions called, lines)`` of each ``execute``.

    What reads a clip's header and times does not count, nor do checks of inputs (``check_``), nor classes, for a node puts its
    settings into one. What a node does by functions of its own file is not seen; those files are short.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("stereosync_core.")
        for alias in node.names
        if alias.name.islower() and not alias.name.startswith("check_")
        if node.module not in ("stereosync_core.media.video", "stereosync_core.timing")
    }
    for node in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for method in (method for method in node.body if isinstance(method, ast.FunctionDef) and method.name == "execute"):
            calls = [call.func for call in ast.walk(method) if isinstance(call, ast.Call)]
            called = {name.id for name in calls if isinstance(name, ast.Name)}
            yield node.name, called & functions, (method.end_lineno or 0) - method.body[0].lineno + 1


def test_a_node_calls_the_core_once_or_twice_and_is_short():
    nodes = [found for path in sorted((ROOT / "nodes").glob("*.py")) for found in core_functions_in_execute(path)]
    assert len(nodes) > 25
    most = {"ApplyStereoSync": 3}  # the host samples: the node loads the adapter and prepares length and conditions for it
    assert [(name, sorted(called)) for name, called, _ in nodes if len(called) > most.get(name, 2)] == []
    assert [(name, lines) for name, _, lines in nodes if lines > 30] == []


def test_one_name_for_one_class():
    places = {}
    for name, path in MODULES.items():
        if package_of(name) in ("stereosync_core", "research"):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places.setdefault(node.name, []).append(name)
    assert {name: modules for name, modules in places.items() if len(modules) > 1} == {}
