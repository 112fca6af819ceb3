"""The normal form of Python code, without comments, layout and docstrings; and what it imports.

Rules of this room: standard library only, and not one import of ours, so that any interpreter can
run it alone. The form is frozen (module scheme 1), and equal for one file on Python 3.11 to 3.13;
it is ours, because `ast.dump` is not stable between versions. It is written from the syntax tree:

    (Name field value field value …)     a node; fields in the order of its class
    [item item …]                        a list
    str 'ascii'                          a constant or name: its type and how it is written

A field is left out when it is None or an empty list, unless it is the value of a constant. Names
stand as they are: to rename a local counts, needlessly, and so does an annotation.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from typing import Any

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
# `ctx` follows from the place, `kind` is the u of u"", comments of types are comments.
_NO_MEANING = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")  # where statements have statements
_SCOPES = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_SETTING = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr)

# (level, module, names): how many dots, what follows them, and what is taken from there, if said.
Import = tuple[int, str, tuple[str, ...]]


def normal_form(source: bytes) -> str:
    """The normal form of one file, which is ASCII.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: what Python cannot parse.
    """
    return form_of(parse(source))


def parse(source: bytes) -> ast.Module:
    """The syntax tree of one file; raises as `normal_form` does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about escapes such as "\d": not ours to say
        return ast.parse(source)


def imports_of(tree: ast.Module) -> list[Import]:
    """What a file may import when it runs, in functions too; not under `if TYPE_CHECKING:`.

    With `import a`, a use of `a.b.c` is one of the module `a.b`, if that is any: somebody else has
    imported it, or this would fail. A name counts in the whole file, whatever its scope.
    """
    found: set[Import] = set()
    bound: dict[str, set[tuple[int, str]]] = {}  # by name in this file: the level and the module
    used: set[tuple[str, str]] = set()
    for node in _running(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found.add((0, alias.name, ()))
                name, module = alias.asname, alias.name
                if name is None:  # `import a.b` binds a
                    name = module = alias.name.partition(".")[0]
                bound.setdefault(name, set()).add((0, module))
        elif isinstance(node, ast.ImportFrom):
            base = f"{node.module}." if node.module else ""
            found.add((node.level, node.module or "", tuple(sorted(a.name for a in node.names))))
            for alias in node.names:
                place = node.level, base + alias.name
                bound.setdefault(alias.asname or alias.name, set()).add(place)
        elif isinstance(node, ast.Attribute):
            used |= _dotted(node)
        elif isinstance(node, ast.Call):
            found |= _imported_by(node)
    for name, rest in used:
        found |= {(level, f"{module}.{rest}", ()) for level, module in bound.get(name, ())}
    return sorted(found)


def _running(tree: ast.Module) -> Iterator[ast.AST]:
    """Every node but those under `if TYPE_CHECKING:`."""
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.If) and _is_for_typing(node.test):
            stack += node.orelse
        else:
            yield node
            stack += ast.iter_child_nodes(node)


def _dotted(node: ast.expr) -> set[tuple[str, str]]:
    """`a.b.c` as (a, b.c); nothing, if it does not begin with a name."""
    steps: list[str] = []
    while isinstance(node, ast.Attribute):
        steps.append(node.attr)
        node = node.value
    return {(node.id, ".".join(reversed(steps)))} if isinstance(node, ast.Name) else set()


def _imported_by(call: ast.Call) -> set[Import]:
    """The module that `import_module("a.b")` or `__import__("a.b")` says in so many words."""
    function = getattr(call.func, "attr", getattr(call.func, "id", None))
    if function not in ("import_module", "__import__"):
        return set()
    names = [*call.args[:1], *(word.value for word in call.keywords if word.arg == "name")]
    texts = [one.value for one in names if isinstance(one, ast.Constant)]
    # What a leading dot is relative to is taken for `__package__`.
    modules = [(text, text.lstrip(".")) for text in texts if isinstance(text, str)]
    return {(len(text) - len(rest), rest, ()) for text, rest in modules if all(rest.split("."))}


def _is_for_typing(test: ast.expr) -> bool:
    return "TYPE_CHECKING" in (getattr(test, "id", None), getattr(test, "attr", None))


def exports_of(tree: ast.Module) -> list[str]:
    """The texts that `__all__` is made of, which may name modules: what `*` takes."""
    names: set[str] = set()
    stack: list[ast.AST] = [tree]
    while stack:
        statement = stack.pop()
        if not isinstance(statement, _SCOPES):
            for block in _BLOCKS:
                stack += getattr(statement, block, ())
        nodes = list(ast.walk(statement)) if isinstance(statement, _SETTING) else []
        if any(isinstance(node, ast.Name) and node.id == "__all__" for node in nodes):
            texts = (node.value for node in nodes if isinstance(node, ast.Constant))
            names |= {text for text in texts if isinstance(text, str)}
    return sorted(names)


def form_of(tree: ast.Module) -> str:
    """The normal form of a syntax tree."""
    out: list[str] = []
    # A stack, not recursion: a sum of a thousand terms is a thousand nodes deep.
    stack: list[Any] = [tree]
    while stack:
        item = stack.pop()
        if type(item) is str:
            out.append(item)
        elif type(item) is list:
            stack += ["]", *(_written(element) for element in reversed(item)), "["]
        else:
            stack.append(")")
            for name, value in reversed(_fields(item)):
                stack += [_written(value), name]
            stack.append(f"({type(item).__name__}")
    return " ".join(out)


def _fields(node: ast.AST) -> list[tuple[str, Any]]:
    constant = isinstance(node, ast.Constant)
    fields = []
    for name in node._fields:
        value: Any = getattr(node, name, None)
        if name in _NO_MEANING:
            continue
        if name == "body" and isinstance(node, _DOCUMENTED) and _is_text(value[:1]):
            value = value[1:]
        if isinstance(node, ast.JoinedStr):
            value = _joined(value)
        if constant or (value is not None and value != []):
            fields.append((name, value))
    return fields


def _is_text(statements: list[ast.stmt]) -> bool:
    return any(
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
        for statement in statements
    )


def _joined(values: list[ast.expr]) -> list[ast.expr]:
    """The parts of an f-string, its plain stretches whole: versions cut them at other places."""
    joined: list[ast.expr] = []
    text = ""
    for value in values:
        if isinstance(value, ast.Constant):
            text += str(value.value)
            continue
        if text:
            joined.append(ast.Constant(text))
            text = ""
        joined.append(value)
    if text:
        joined.append(ast.Constant(text))
    return joined


def _written(value: Any) -> Any:
    """Nodes and lists as they are; everything else as its type and how it is written.

    ASCII, because what repr() escapes depends on the interpreter's Unicode tables; ints in hex,
    because Python refuses to print long ones in decimal.
    """
    if isinstance(value, ast.AST | list):
        return value
    return f"{type(value).__name__} {hex(value) if type(value) is int else ascii(value)}"
