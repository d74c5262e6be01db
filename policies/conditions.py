"""The single conditions of a rule, in words, and as policies of their own that the engine can be asked one by one.

A default deny in Cedar has no reason. So each permit is taken apart: its scope and every term of its conditions
becomes a probe, a permit of just that term. One evaluation of all probes tells which terms hold, by the same engine
that decided, and the rest of a rule's terms are what it lacked.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import cedarpy
from cedarpy import pst

from policies.phrases import ENGLISH, Phrase, Wording
from policies.rules import Question, Rule, Rules

_UP_TO = "up_to_"
_CATEGORY = Phrase.CATEGORY.english.partition("{")[0]
_FLAGS = {
    "consented": (Phrase.CONSENTED, Phrase.NOT_CONSENTED),
    "staffed": (Phrase.STAFFED, Phrase.NOT_STAFFED),
    "special": (Phrase.SPECIAL, Phrase.NOT_SPECIAL),
}
_ANYTHING = pst.ScopeAny()


@dataclass(frozen=True, slots=True)
class Condition:
    """One term of one permit: in words, and the id its probe has. `of_category` is a term about the category."""

    rule: Rule
    probe: str
    words: str
    of_category: bool


class Probes:
    """All conditions of all permits of a bundle, ready to be asked."""

    def __init__(self, rules: Rules) -> None:
        conditions: list[Condition] = []
        nodes: dict[str, pst.Template] = {}
        for rule in rules.rules.values():
            if rule.effect != "permit":
                continue
            for node, words in _terms(rule.node, ENGLISH):
                probe = f"{rule.id}#{len(nodes)}"
                nodes[probe] = replace(node, id=probe, annotations=pst.FrozenMap({"id": probe}))
                conditions.append(Condition(rule, probe, words, words.startswith(_CATEGORY)))
        self._rules = rules
        self._conditions = tuple(conditions)
        self._policies = cedarpy.PolicySet.from_pst(pst.PolicySet(pst.FrozenMap(), pst.FrozenMap(nodes), ()))

    def lacked(self, question: Question) -> Mapping[str, tuple[str, ...]]:
        """Return what each permit about the asked category lacked: its id, and the conditions that do not hold.

        Permits about other categories are left out: they are not near, they are elsewhere.
        """
        result = self._rules.evaluate(question, self._policies)
        held = frozenset(result.diagnostics.id_annotations_by_reason.values())
        failed = [condition for condition in self._conditions if condition.probe not in held]
        elsewhere = {condition.rule.id for condition in failed if condition.of_category}
        lacked: dict[str, tuple[str, ...]] = {}
        for condition in failed:
            if condition.rule.id not in elsewhere:
                lacked[condition.rule.id] = (*lacked.get(condition.rule.id, ()), condition.words)
        return lacked


def words_of(rule: Rule, wording: Wording = ENGLISH) -> tuple[str, ...]:
    """Return each condition of a rule in words, permits and forbids alike."""
    return tuple(words for _, words in _terms(rule.node, wording))


def _terms(node: pst.Template, wording: Wording) -> Iterator[tuple[pst.Template, str]]:
    """Take a permit apart into permits of one term each."""
    bare = replace(node, principal=_ANYTHING, action=_ANYTHING, resource=_ANYTHING, clauses=())
    if node.principal != _ANYTHING:
        yield replace(bare, principal=node.principal), _asker(node.principal, wording)
    if node.action != _ANYTHING:
        yield replace(bare, action=node.action), _action(node.action, wording)
    if node.resource != _ANYTHING:
        yield replace(bare, resource=node.resource), wording.say(Phrase.CATEGORY, names=_scope(node.resource, wording))
    for clause in node.clauses:
        if isinstance(clause, pst.When):
            for term in _conjuncts(clause.expr):
                yield replace(bare, clauses=(pst.When(term),)), _say(term, wording)
        else:
            yield replace(bare, clauses=(clause,)), wording.say(Phrase.NOT, term=_grouped(clause.expr, "not", wording))


def _conjuncts(expression: pst.Expr) -> Iterator[pst.Expr]:
    if isinstance(expression, pst.BinaryOp) and expression.op == "and":
        yield from _conjuncts(expression.left)
        yield from _conjuncts(expression.right)
    else:
        yield expression


def _asker(scope: pst.PrincipalOrResourceConstraint, wording: Wording) -> str:
    phrase = Phrase.ASKER
    if isinstance(scope, pst.ScopeEq | pst.ScopeIn | pst.ScopeIsIn) and isinstance(scope.entity, pst.EntityUid):
        phrase = {"System": Phrase.ASKER_SYSTEM, "Brand": Phrase.ASKER_BRAND}[str(scope.entity.type)]
    return wording.say(phrase, names=_scope(scope, wording))


def _scope(scope: pst.PrincipalOrResourceConstraint, wording: Wording) -> str:
    if isinstance(scope, pst.ScopeEq | pst.ScopeIn | pst.ScopeIsIn) and isinstance(scope.entity, pst.EntityUid):
        return _named(scope.entity, wording)
    return wording.say(Phrase.OF_THE_KIND)


def _action(scope: pst.ActionConstraint, wording: Wording) -> str:
    names: list[str] = []
    if isinstance(scope, pst.ActionEq):
        names = [scope.entity.id]
    elif isinstance(scope, pst.ActionIn):
        names = [each.id for each in scope.entities]
    groups = [name for name in names if name.startswith(_UP_TO)]
    if groups and groups == names:
        highest = wording.either(wording.level(name.removeprefix(_UP_TO)) for name in names)
        return wording.say(Phrase.AT_MOST, names=highest)
    return wording.say(Phrase.LEVEL, names=wording.either(wording.level(name) for name in names))


def _say(term: pst.Expr, wording: Wording) -> str:
    """Put one term in words; a form not foreseen here is shown as Cedar."""
    match term:
        case pst.GetAttr(base=pst.Var(name="context"), attr=flag) if flag in _FLAGS:
            return wording.say(_FLAGS[flag][0])
        case pst.UnaryOp(op="not", arg=pst.GetAttr(base=pst.Var(name="context"), attr=flag)) if flag in _FLAGS:
            return wording.say(_FLAGS[flag][1])
        case pst.UnaryOp(op="not", arg=inner):
            return wording.say(Phrase.NOT, term=_grouped(inner, "not", wording))
        case pst.BinaryOp(op="or", left=left, right=right):
            return wording.say(Phrase.OR, left=_grouped(left, "or", wording), right=_grouped(right, "or", wording))
        case pst.BinaryOp(op="and", left=left, right=right):
            return wording.say(Phrase.AND, left=_grouped(left, "and", wording), right=_grouped(right, "and", wording))
        case pst.BinaryOp(op="in", left=pst.GetAttr(base=pst.Var(name="context"), attr="purpose"), right=right):
            return wording.say(Phrase.PURPOSE_OR_BELOW, names=_names(right, wording))
        case pst.BinaryOp(op="eq", left=pst.GetAttr(base=pst.Var(name="context"), attr="purpose"), right=right):
            return wording.say(Phrase.PURPOSE, names=_names(right, wording))
        case pst.BinaryOp(op="in", left=pst.Var(name="resource"), right=right):
            return wording.say(Phrase.CATEGORY, names=_names(right, wording))
        case pst.BinaryOp(
            op="eq", left=pst.GetAttr(base=pst.Var(name="context"), attr="basis"), right=pst.StringLit(value=value)
        ):
            return wording.say(Phrase.BASIS, name=wording.basis(value))
        case pst.BinaryOp(
            op="eq", left=pst.GetAttr(base=pst.Var(name="context"), attr="region"), right=pst.StringLit(value=value)
        ):
            return wording.say(Phrase.REGION, name=value)
        case _:
            return _as_cedar(term)


def _grouped(term: pst.Expr, within: str, wording: Wording) -> str:
    """Put a part of a term in words, in brackets where it would otherwise read as another: `not: a, or b`."""
    words = _say(term, wording)
    compound = isinstance(term, pst.BinaryOp) and term.op in {"and", "or"} and term.op != within
    return f"({words})" if compound else words


def _names(expression: pst.Expr, wording: Wording) -> str:
    if isinstance(expression, pst.EntityLit):
        return _named(expression.value, wording)
    if isinstance(expression, pst.Set):
        return wording.either(_names(each, wording) for each in expression.elements)
    return _as_cedar(expression)


def _named(entity: pst.EntityUid, wording: Wording) -> str:
    return wording.category(entity.id) if str(entity.type) == "Category" else entity.id


def _as_cedar(term: pst.Expr) -> str:
    node = pst.Template("it", "permit", _ANYTHING, _ANYTHING, _ANYTHING, (pst.When(term),), pst.FrozenMap())
    text = str(cedarpy.PolicySet.from_pst(pst.PolicySet(pst.FrozenMap(), pst.FrozenMap({"it": node}), ())))
    return " ".join(text[text.index("{") + 1 : text.rindex("}")].split())
