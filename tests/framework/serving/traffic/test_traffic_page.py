"""The traffic as the page shows it: the split as a bar, each version's counts, a canary, a shadow."""

import re

from tests.framework.serving.page.visitor import Visitor
from tests.framework.serving.traffic.conftest import BEARER, NAME, Serving

PATH = f"/models/{NAME}/traffic"


def shown(serving: Serving) -> str:
    status, _, body = Visitor(serving.client).get(PATH, **{"x-fragment": "1"})
    assert status == 200, body
    return " ".join(re.sub(r"<(?!svg|rect)[^>]*>", " ", body).split())


def test_one_version_answers_all_and_its_counts_are_told(serving: Serving) -> None:
    assert serving.client.headers == BEARER
    for place in range(3):
        serving.ask(serving.row(place))
    told = shown(serving)
    assert told.startswith("One version answers all requests.")
    assert re.search(r" 1 100\.0 % 3 0\.0 % [\d.]+ ms [\d.,]+ ms 0$", told), told
    assert "<rect" not in told


def test_a_split_is_a_bar_whose_parts_are_as_wide_as_its_shares(serving: Serving) -> None:
    split = {"arms": [{"version": 1, "weight": 75}, {"version": "challenger", "weight": 25}], "key": "tenant"}
    assert serving.put(split)[0] == 200
    told = shown(serving)
    assert "The requests are split. Who has the same tenant is answered by the same version." in told
    bar = re.findall(r'<rect class="arm-(\d)" x="([\d.]+)%" width="([\d.]+)%"', told)
    assert bar == [("0", "0.00", "75.00"), ("1", "75.00", "25.00")]
    assert 'aria-label="version 1: 75.0 %, version 2: 25.0 %"' in told
    assert " – – 0" in told  # nothing was asked yet: no latency


def test_a_canary_tells_its_steps_and_a_shadow_what_it_was_asked(serving: Serving) -> None:
    arms = [{"version": 1}, {"version": 2}]
    assert serving.put({"arms": arms, "canary": {"steps": [5, 50, 100]}})[0] == 200
    told = shown(serving)
    assert "A new version takes over step by step." in told
    assert "Steps of 5, 50, 100 %; running" in told
    assert serving.put({"arms": arms[:1], "shadow": {"version": 2, "share": 1.0}})[0] == 200
    assert "Version 2 answers beside, unseen: 0 requests, 0 of them errors." in shown(serving)
