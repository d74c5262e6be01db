"""The way of a request: what leads where, that nothing else does, and that nobody gets lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.rights import Right
from vault.requests.states import BACK, OVER, TABLE, IllegalMove, Move, State, after, moves_from

RIGHTS = st.sampled_from(list(Right))
STATES = st.sampled_from(list(State))
MOVES = st.sampled_from(list(Move))


@given(right=RIGHTS, state=STATES, move=MOVES)
def test_what_the_table_has_not_is_refused(right, state, move):
    if (state, move) in TABLE[right]:
        assert isinstance(after(right, state, move, State.SCOPING), State)
    else:
        with pytest.raises(IllegalMove):
            after(right, state, move, State.SCOPING)


@given(right=RIGHTS, picks=st.lists(st.integers(0, 40), max_size=60))
def test_every_walk_keeps_the_rules_of_the_law(right, picks):
    """Whatever is done in whatever order: no artefact before identity and review, no destruction before two approvals."""
    state, held_from, path = State.RECEIVED, "", []
    for pick in picks:
        moves = moves_from(right, state)
        if not moves:
            assert state in OVER
            return
        move = moves[pick % len(moves)]
        to = after(right, state, move, held_from)
        if to in {State.ON_HOLD, State.REFUSAL_PROPOSED}:
            held_from = state
        elif state in {State.ON_HOLD, State.REFUSAL_PROPOSED}:
            held_from = ""
        path.append(move)
        state = to
        if state in {State.READY, State.DELIVERED, State.EXECUTED}:
            assert Move.ACCEPT_IDENTITY in path
            assert Move.REVIEW in path
        if state is State.READY:
            assert path[-1] in {Move.PREPARE, Move.CARRY_OUT}
        if Move.EXECUTE in path:
            assert right is Right.ERASURE
            order = [path.index(each) for each in (Move.CHECK_HOLDS, Move.REHEARSE, Move.APPROVE, Move.EXECUTE)]
            assert order == sorted(order)
            assert Move.WITHDRAW not in path[path.index(Move.EXECUTE) :]
        if state is State.REFUSED:
            assert Move.PROPOSE_REFUSAL in path


@pytest.mark.parametrize("right", list(Right))
def test_every_state_can_be_reached_and_left_until_it_is_over(right):
    seen, waiting = {State.RECEIVED}, [State.RECEIVED]
    while waiting:
        state = waiting.pop()
        assert moves_from(right, state) or state in OVER
        for move in moves_from(right, state):
            to = TABLE[right][state, move]
            if to != BACK and to not in seen:
                seen.add(State(to))
                waiting.append(State(to))
    of_erasure = {
        State.HOLD_CHECK, State.DRY_RUN, State.SECOND_APPROVAL, State.EXECUTED, State.RECIPIENTS_NOTIFIED,
        State.BACKUPS_EXPIRED, State.CERTIFIED,
    }  # fmt: skip
    way = {State.READY, State.DELIVERED}
    missing = set(State) - seen
    assert missing == {State.DUPLICATE} | (way if right is Right.ERASURE else of_erasure)


@pytest.mark.parametrize("state", sorted(OVER))
@pytest.mark.parametrize("right", list(Right))
def test_what_is_over_is_over(right, state):
    assert moves_from(right, state) == ()
