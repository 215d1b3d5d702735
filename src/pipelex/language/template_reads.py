"""A walk through a Jinja tree: which outside names it reads, by which paths, under which guards. Pure; replayed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from jinja2 import nodes

METADATA_NAMES = ("_stuff_name", "_content_class", "_concept_code", "_stuff_code")
"""The underscore names that a template may read on a value (MTHDS section 10.4)."""

Names = frozenset[str]
_NONE: Names = frozenset()


@dataclass(frozen=True)
class Read:
    """One reading of a name that no scope binds. `is_safe`: it does no harm there if the value is absent."""

    root: str
    path: str
    line: int
    is_safe: bool


@dataclass(frozen=True)
class Scope:
    """The names bound by the template, and the outside names known to be present at this point."""

    bound: Names = _NONE
    present: Names = _NONE

    def binding(self, names: Iterable[str]) -> Scope:
        """This scope with more names bound."""
        return Scope(self.bound | frozenset(names), self.present)

    def knowing(self, names: Names) -> Scope:
        """This scope with more names known to be present."""
        return Scope(self.bound, self.present | names)


class Reader:
    """Collects the reads of one template in `reads`, and the private names reached with a dot in `private`."""

    def __init__(self) -> None:
        self.reads: list[Read] = []
        self.private: list[tuple[str, int]] = []

    def read_template(self, tree: nodes.Template) -> None:
        """Walk the whole template."""
        self._body(tree.body, Scope())

    def _body(self, body: Iterable[nodes.Node], scope: Scope) -> Scope:
        for node in body:
            scope = self._statement(node, scope)
        return scope

    def _statement(self, node: nodes.Node, scope: Scope) -> Scope:
        """Walk a statement; the scope that holds after it."""
        match node:
            case nodes.Output():
                for part in node.nodes:
                    self._value(part, scope)
            case nodes.If():
                return self._if(node, scope)
            case nodes.For():
                self._for(node, scope)
            case nodes.Assign():
                self._value(node.node, scope)
                return self._assigned(node.target, scope)
            case nodes.AssignBlock():
                self._body(node.body, scope)
                self._optional(node.filter, scope)
                return self._assigned(node.target, scope)
            case nodes.Macro():
                scope = scope.binding([node.name])
                self._callable(node, scope)
            case nodes.CallBlock():
                self._value(node.call, scope)
                self._callable(node, scope)
            case nodes.With():
                for value in node.values:
                    self._value(value, scope)
                self._body(node.body, scope.binding(_names(node.targets)))
            case nodes.FilterBlock():
                self._body(node.body, scope)
                self._value(node.filter, scope)
            case nodes.Block():
                self._body(node.body, Scope(_NONE, scope.present))
            case nodes.Scope() | nodes.ScopedEvalContextModifier():
                self._body(node.body, scope)
            case _:
                self._children(node, scope)
        return scope

    def _if(self, node: nodes.If, scope: Scope) -> Scope:
        """Walk an if with its elifs and else. Only names that every branch binds are bound after it."""
        ends: list[Names] = []
        reached = scope
        for branch in [node, *node.elif_]:
            self._test(branch.test, reached)
            if_true, if_false = _presence(branch.test, reached)
            ends.append(self._body(branch.body, reached.knowing(if_true)).bound)
            reached = reached.knowing(if_false)
        ends.append(self._body(node.else_, reached).bound)
        return Scope(frozenset.intersection(*ends), scope.present)

    def _for(self, node: nodes.For, scope: Scope) -> None:
        self._value(node.iter, scope)
        inner = scope.binding([*_names([node.target]), "loop"])
        if node.test is not None:
            self._test(node.test, inner)
            inner = inner.knowing(_presence(node.test, inner)[0])
        self._body(node.body, inner)
        self._body(node.else_, scope)

    def _callable(self, node: nodes.Macro | nodes.CallBlock, scope: Scope) -> None:
        for default in node.defaults:
            self._value(default, scope)
        self._body(node.body, scope.binding([*_names(node.args), "caller", "varargs", "kwargs"]))

    def _assigned(self, target: nodes.Node, scope: Scope) -> Scope:
        if isinstance(target, nodes.NSRef):
            self._record(target.name, target.name, target.lineno, scope, is_safe=False)
            return scope
        return scope.binding(_names([target]))

    def _optional(self, node: nodes.Node | None, scope: Scope) -> None:
        if node is not None:
            self._value(node, scope)

    def _children(self, node: nodes.Node, scope: Scope) -> None:
        for child in node.iter_child_nodes():
            self._value(child, scope)

    def _value(self, node: nodes.Node, scope: Scope) -> None:
        """Walk an expression whose value is used."""
        match node:
            case nodes.Name() | nodes.Getattr() | nodes.Getitem():
                self._reference(node, scope)
            case nodes.Call(node=nodes.Getattr() as method):
                self._note_private(method)
                self._value(method.node, scope)
                for child in node.iter_child_nodes(exclude=("node",)):
                    self._value(child, scope)
            case nodes.Filter(name="default" | "d", node=nodes.Name() as name):
                self._record(name.name, name.name, name.lineno, scope, is_safe=True)
                for child in node.iter_child_nodes(exclude=("node",)):
                    self._value(child, scope)
            case nodes.And() | nodes.Or():
                self._test(node.left, scope)
                if_true, if_false = _presence(node.left, scope)
                self._value(node.right, scope.knowing(if_true if isinstance(node, nodes.And) else if_false))
            case nodes.Not() | nodes.Test():
                self._test(node, scope)
            case nodes.CondExpr():
                if_true, if_false = _presence(node.test, scope)
                self._value(node.expr1, scope.knowing(if_true))
                self._test(node.test, scope)
                self._optional(node.expr2, scope.knowing(if_false))
            case _:
                self._children(node, scope)

    def _test(self, node: nodes.Node, scope: Scope) -> None:
        """Walk an expression of which only the truth is used, where a bare absent name is harmless."""
        match node:
            case nodes.Name() | nodes.Test(name="defined" | "undefined" | "none", node=nodes.Name()):
                name = node if isinstance(node, nodes.Name) else node.node
                assert isinstance(name, nodes.Name)
                self._record(name.name, name.name, name.lineno, scope, is_safe=True)
            case nodes.Not():
                self._test(node.node, scope)
            case nodes.And() | nodes.Or():
                self._test(node.left, scope)
                if_true, if_false = _presence(node.left, scope)
                self._test(node.right, scope.knowing(if_true if isinstance(node, nodes.And) else if_false))
            case nodes.Test():
                self._children(node, scope)
            case _:
                self._value(node, scope)

    def _reference(self, node: nodes.Expr, scope: Scope) -> None:
        """Walk `a`, `a.b`, `a["b"]`, `a.b[0].c`: the path is what can be told without running it (`a.b` here)."""
        links: list[str] = []
        while isinstance(node, nodes.Getattr | nodes.Getitem):
            if isinstance(node, nodes.Getattr):
                self._note_private(node)
                links.append(node.attr)
            elif isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
                links.append(node.arg.value)
            else:
                self._value(node.arg, scope)
                links.clear()
            node = node.node
        if isinstance(node, nodes.Name):
            self._record(node.name, ".".join([node.name, *reversed(links)]), node.lineno, scope, is_safe=False)
        else:
            self._value(node, scope)

    def _note_private(self, node: nodes.Getattr) -> None:
        if node.attr.startswith("_") and node.attr not in METADATA_NAMES:
            self.private.append((node.attr, node.lineno))

    def _record(self, root: str, path: str, line: int, scope: Scope, *, is_safe: bool) -> None:
        if root not in scope.bound:
            self.reads.append(Read(root, path, line, is_safe or root in scope.present))


def _names(targets: Iterable[nodes.Node]) -> list[str]:
    """The names that assignment targets bind."""
    found: list[str] = []
    for target in targets:
        if isinstance(target, nodes.Name):
            found.append(target.name)
        else:
            found.extend(name.name for name in target.find_all(nodes.Name))
    return found


def _presence(node: nodes.Node, scope: Scope) -> tuple[Names, Names]:
    """The outside names that are surely present if the expression is true, and those if it is false."""
    match node:
        case nodes.Name():
            return _outside(node.name, scope), _NONE
        case nodes.Getattr() | nodes.Getitem():
            return _presence(node.node, scope)[0], _NONE
        case nodes.Test(name="defined", node=nodes.Name() as name):
            return _outside(name.name, scope), _NONE
        case nodes.Test(name="undefined", node=nodes.Name() as name):
            return _NONE, _outside(name.name, scope)
        case nodes.Not():
            if_true, if_false = _presence(node.node, scope)
            return if_false, if_true
        case nodes.And():
            left, right = _presence(node.left, scope), _presence(node.right, scope)
            return left[0] | right[0], left[1] & right[1]
        case nodes.Or():
            left, right = _presence(node.left, scope), _presence(node.right, scope)
            return left[0] & right[0], left[1] | right[1]
        case _:
            return _NONE, _NONE


def _outside(name: str, scope: Scope) -> Names:
    return _NONE if name in scope.bound else frozenset([name])
