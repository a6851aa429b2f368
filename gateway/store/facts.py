"""What is known of an upload before it is judged: one look into every index it touches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gateway.core.lists import Place
from gateway.core.submission import STATES, Facts, HeldBase, HeldObject, Question
from gateway.store.evidence import EvidenceBook
from gateway.store.keybook import KeyBook
from gateway.store.listbook import ListBook
from gateway.store.lookup import Lookup, ObjectRow
from gateway.store.state import LogState

Found = Mapping[bytes, Sequence[ObjectRow]]


def gather_facts(
    questions: Sequence[Question],
    state: LogState,
    lookup: Lookup,
    keys: KeyBook,
    lists: ListBook,
    evidence: EvidenceBook,
) -> list[Facts]:
    """Complete for every object that is logged by now."""
    values = [value for question in questions for value in (*question.identities, *question.receipts)]
    found = lookup.find(values)
    facts = [_facts(question, state, found, keys, lists) for question in questions]
    keys.trim()
    return [_with_conflicts(one, question, evidence) for one, question in zip(facts, questions, strict=True)]


def _with_conflicts(facts: Facts, question: Question, evidence: EvidenceBook) -> Facts:
    conflicts = evidence.about(question.identities)
    return replace(facts, conflicts=conflicts) if conflicts else facts


def _facts(question: Question, state: LogState, found: Found, keys: KeyBook, lists: ListBook) -> Facts:
    known = {value: tuple(map(_held, found[value])) for value in question.identities if value in found}
    facts = Facts(
        horizon=state.next_ordinal,
        known=known,
        receipts={value: _held(found[value][0]) for value in question.receipts if value in found},
        keys={signer: keys.of_device(signer) for signer in question.signers},
    )
    row = keys.find(question.key)
    if row is None or question.snapshot is None:
        return facts
    snapshots = lists.same_snapshots(row.id, *question.snapshot, state.placed)
    if question.base is None:
        return replace(facts, snapshots=snapshots)
    base = lists.base(row.id, *question.base)
    if base is None:
        return replace(facts, snapshots=snapshots, resume=lists.resume(row.id))
    return replace(facts, snapshots=snapshots, base=base, in_base=_in_base(question, facts, base, lists))


def _in_base(question: Question, facts: Facts, base: HeldBase, lists: ListBook) -> frozenset[bytes]:
    """Asked identities that the base's list holds; nothing but new texts: the list is not even read."""
    if not facts.known and not lists.held(base.index).raws:
        return frozenset()
    places = _place_set(lists, base.index)
    return frozenset(
        identity
        for identity in question.identities
        if identity in places or any(held.ordinal in places for held in facts.known.get(identity, ()))
    )


def _place_set(lists: ListBook, leaf: int) -> set[Place]:
    return set(lists.expanded(leaf))


def _held(row: ObjectRow) -> HeldObject:
    return HeldObject(row[0], row[4], STATES[row[3]], row[1])
