"""What train.py looks up: counts of the text, matches and recent tokens of the row, and the mixture of them."""

from __future__ import annotations

import math
from collections import Counter
from types import ModuleType

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import prepare
from mcp_server.scoring.host import Server
from tests.shipped.models import LENGTH, clues_of, trained


@pytest.mark.parametrize("order", [1, 2, 3])
def test_copies_propose_what_followed_the_latest_same_context_of_the_row(train: ModuleType, order: int) -> None:
    tokens = torch.randint(5, (6, 50), generator=torch.Generator().manual_seed(1))
    places = train.everywhere(tokens)
    proposals, levels = train.copies(tokens, places, train.matches(tokens, places), order)
    for row, proposed in zip(tokens.tolist(), proposals.tolist(), strict=True):
        followers: dict[tuple[int, ...], int] = {}
        for t, token in enumerate(row):
            if t >= order:
                followers[tuple(row[t - order : t])] = token
            context = tuple(row[t - order + 1 : t + 1]) if t >= order - 1 else ()
            assert proposed[t] == followers.get(context, -1)
    assert ((levels > 0) == (proposals >= 0)).all()
    assert levels.max() < train.LEVELS


def smoothed(stream: list[int], longest: int, vocab: int) -> dict[tuple[int, ...], list[float]]:
    """Interpolated Kneser-Ney with three discounts, as its authors write it: context to probabilities."""
    followers: dict[tuple[int, ...], Counter[int]] = {}
    for i in range(longest, len(stream)):
        followers.setdefault(tuple(stream[i - longest : i]), Counter())[stream[i]] += 1
    levels = [followers]
    for _ in range(longest):
        shorter: dict[tuple[int, ...], Counter[int]] = {}
        for context, found in levels[-1].items():
            for token in found:
                shorter.setdefault(context[1:], Counter())[token] += 1
        levels.append(shorter)
    alone = [levels[-1][()][token] + 0.5 for token in range(vocab)]
    said = {(): [x / sum(alone) for x in alone]}
    for found in reversed(levels[:-1]):
        times = Counter(n for one in found.values() for n in one.values())
        y = times[1] / max(1, times[1] + 2 * times[2])
        less = [0.0] + [max(0.0, k - (k + 1) * y * times[k + 1] / max(1, times[k])) for k in (1, 2, 3)]
        for context, one in found.items():
            kept = {token: (n - less[min(n, 3)]) / one.total() for token, n in one.items()}
            left = 1 - sum(kept.values())
            said[context] = [kept.get(token, 0.0) + left * below for token, below in enumerate(said[context[1:]])]
    return said


def test_counts_say_what_their_authors_write(train: ModuleType) -> None:
    train.COUNT_ORDERS, train.COUNT_SLOTS, vocab = (1, 2, 3), 2**14, train.VOCAB
    stream = torch.randint(9, (3000,), generator=torch.Generator().manual_seed(2)).square() // 5
    wanted = smoothed(stream.tolist(), 3, vocab)
    tokens = torch.randint(9, (4, 40), generator=torch.Generator().manual_seed(3)).square() // 5
    tokens[:, 20] = 100  # a token the text does not have
    targets = torch.randint(13, tokens.shape, generator=torch.Generator().manual_seed(4))
    heard = train.hear(tokens, targets, train.count(stream))
    for row in range(4):
        for t in range(40):
            for order in range(4):
                context = tuple(tokens[row, max(0, t - order + 1) : t + 1].tolist()) if order else ()
                while context not in wanted:
                    context = context[1:]
                chance = heard.chances[row, t, order].item()
                assert chance == pytest.approx(wanted[context][targets[row, t]], rel=0.01)
                if order:
                    whole = t >= order - 1 and tuple(tokens[row, t - order + 1 : t + 1].tolist()) in wanted
                    assert (heard.levels[row, t, order - 1] > 0) == whole
    assert heard.levels.max() < train.LEVELS


def counted_plainly(train: ModuleType, stream: torch.Tensor) -> list[torch.Tensor]:
    """The tables of `count` by whole vectors, each order from all keys: slow, and simple enough to be believed."""

    def context(order: int) -> torch.Tensor:
        key = torch.zeros_like(stream)
        for back in range(order):
            key = (key + F.pad(stream, (back, 0))[: len(stream)] + 1) * 6364136223846793005
            key = key ^ (key >> 29)
        return key % 2**46 % 2**43

    at, found = torch.arange(train.COUNT_ORDERS[-1], len(stream)), []
    for i, order in reversed(list(enumerate(train.COUNT_ORDERS, 1))):
        pair, which, times = (
            ((i << 43) + context(order)[at - 1] << 16).add(stream[at]).unique(return_inverse=True, return_counts=True)
        )
        at = torch.empty_like(pair).scatter_(0, which, at)
        n = torch.bincount(times.clamp(max=5), minlength=6).tolist()
        y = n[1] / max(1, n[1] + 2 * n[2])
        less = torch.tensor([0.0] + [k - (k + 1) * y * n[k + 1] / max(1, n[k]) for k in (1, 2, 3)]).clamp(min=0)
        kept = times - less[times.clamp(max=3)]
        _, which = (pair >> 16).unique(return_inverse=True)
        total = torch.zeros_like(kept).index_add(0, which, times.float())[which]
        share = (kept / total).bfloat16()
        rest = (1 - torch.zeros_like(kept).index_add(0, which, share.float())[which]).clamp(min=0)
        level = 1 + 4 * total.log2().long().clamp(max=4) + torch.bucketize(rest, torch.tensor([0.1, 0.3, 0.6]))
        found.append((pair, share, rest, level.to(torch.uint8), total))
    pair, share, rest, level, total = (torch.cat(parts) for parts in zip(*reversed(found), strict=True))
    least = next(least for least in range(10**6) if (total > least).sum() <= train.COUNT_SLOTS)
    left = total > least
    alone = torch.bincount(stream[at], minlength=train.VOCAB) + 0.5
    tables = [F.pad(x[left], (train.COUNT_SLOTS - int(left.sum()), 0)) for x in (pair, share, rest, level)]
    return [x[None] for x in (*tables, alone / alone.sum())]


@pytest.mark.parametrize("slots", [2**18, 2**12])
def test_counts_are_to_the_last_digit_what_whole_vectors_give(train: ModuleType, slots: int) -> None:
    stream, train.COUNT_SLOTS = torch.from_numpy(np.concatenate(prepare.stretch()).astype(np.int64)), slots
    assert all(map(torch.equal, train.count(stream), counted_plainly(train, stream)))


def test_recent_tokens_count_less_the_farther_back_they_stood(train: ModuleType) -> None:
    train.RECENT_REACH = 5.0
    tokens = torch.tensor([[3, 4, 3, 5, 6, 3], [7, 7, 7, 7, 7, 7]])
    targets = torch.tensor([[4, 3, 5, 6, 3, 8], [7, 7, 7, 7, 7, 7]])
    recent = train.hear(tokens, targets, train.count(torch.arange(99) % 20)).chances[..., -1]
    assert (recent[0, [0, 2, 3, 5]] == 0).all()
    weight = [math.exp(-back / 5) for back in range(6)]
    assert recent[0, 1].item() == pytest.approx(weight[1] / sum(weight[:2]))
    assert recent[0, 4].item() == pytest.approx((weight[4] + weight[2]) / sum(weight[:5]))
    torch.testing.assert_close(recent[1], torch.ones(6))


def test_where_slots_are_few_the_rarest_contexts_are_left_out(train: ModuleType) -> None:
    stream = torch.from_numpy(np.concatenate(prepare.stretch()).astype(np.int64))
    train.COUNT_SLOTS = 2**20
    everything = train.count(stream)
    train.COUNT_SLOTS = 2**12
    few = train.count(stream)
    kept = few.pairs[few.pairs > 0]
    assert 0 < len(kept) <= 2**12
    assert set(kept.tolist()) < set(everything.pairs[everything.pairs > 0].tolist())
    assert (few.pairs[0].diff() >= 0).all()


def test_matches_are_all_earlier_places_with_the_same_token(train: ModuleType) -> None:
    tokens = torch.randint(4, (3, 30), generator=torch.Generator().manual_seed(1))
    found = train.matches(tokens, train.everywhere(tokens))
    wanted = []
    for row, text in enumerate(tokens.tolist()):
        for t in range(30):
            for s in (s for s in range(t) if text[s] == text[t]):
                length = next((n for n in range(1, s + 1) if text[s - n] != text[t - n]), s + 1)
                wanted.append((row * 30 + t, text[s + 1], min(length, train.MATCH_LENGTH)))
    assert list(zip(*(part.tolist() for part in found[:3]), strict=True)) == wanted
    picked = train.matches(tokens, torch.tensor([[29], [0], [11]]))
    places = [29, 30, 71]
    assert [(places[p], f, n) for p, f, n in zip(*(part.tolist() for part in picked[:3]), strict=True)] == [
        one for one in wanted if one[0] in places
    ]


def test_matches_of_some_places_are_those_among_all(train: ModuleType) -> None:
    tokens = torch.randint(0, 9, (3, 40), generator=torch.Generator().manual_seed(0))
    places = torch.tensor([[0, 5], [7, 39], [20, 21]])
    some, chosen = train.matches(tokens, places), train.matches(tokens, train.everywhere(tokens)).of(places)
    assert len(some.place) > 5
    assert all(torch.equal(*pair) for pair in zip(some, chosen, strict=True))


def test_rows_of_one_half_practise_on_the_counts_of_the_other(train: ModuleType) -> None:
    model = train.build_model()
    practice = train.read_halves(model)
    halves = [torch.from_numpy(np.concatenate(prepare.stretch(half, 2)).astype(np.int64)) for half in (0, 1)]
    tokens, targets = next(prepare.batches(4, folds=2))
    together = train.hear(tokens, targets, practice)
    for half in (0, 1):
        apart = train.hear(tokens[half::2], targets[half::2], train.count(halves[1 - half]))
        assert torch.equal(together.chances[half::2], apart.chances)
        assert torch.equal(together.levels[half::2], apart.levels)
    assert all(map(torch.equal, model.counts, train.count(torch.cat(halves))))


def test_the_mixture_is_a_distribution_and_training_is_told_its_probabilities(train: ModuleType) -> None:
    model, (tokens, targets) = trained(train), next(prepare.batches(4))
    with torch.no_grad():
        answer = model(tokens)
        torch.testing.assert_close(answer.exp().sum(-1), torch.ones(tokens.shape), atol=1e-5, rtol=0)
        _, nats, _, _ = train.losses(model, model.loss, tokens, targets, model.counts)
        told = model(tokens, targets=targets)
    wanted = F.nll_loss(answer.flatten(0, 1), targets.flatten())
    torch.testing.assert_close(nats, wanted, atol=1e-4, rtol=0)
    torch.testing.assert_close(told, answer.gather(-1, targets[..., None])[..., 0], atol=1e-5, rtol=0)


def test_a_host_takes_the_short_ways_to_claims_and_answers(train: ModuleType) -> None:
    asked = Server(trained(train).eval(), torch.device("cpu"), train.VOCAB)
    with torch.inference_mode():
        asked.rehearse(4, LENGTH)
    assert asked.telling
    assert asked.selective


def test_only_the_weights_of_the_mixture_learn_what_the_network_says_from_the_mixture(train: ModuleType) -> None:
    """The network's head learns from its own error alone, and less where other voices were sure of the token."""
    model, (tokens, targets) = trained(train), next(prepare.batches(4))
    clues, heads = clues_of(train, model, tokens), []
    for focus in (0.0, 1.0):
        train.FOCUS = focus
        train.losses(model, model.loss, tokens, targets, model.counts)[0].backward()
        assert model.voice.weight.grad.count_nonzero() > 0
        heads.append(model.head.weight.grad.clone())
        model.zero_grad()
    ones = torch.ones(targets.numel())
    model.loss(tokens, targets, clues, model.grams[clues.slots], ones)[0].backward()
    torch.testing.assert_close(heads[0], model.head.weight.grad)
    assert heads[1].norm() < heads[0].norm()
