# SPDX-License-Identifier: Apache-2.0
"""The web page of backends/view in headless Chromium, against the real daemon."""
import contextlib
import json
import os
import pathlib
import socket
import sys
import threading
import urllib.request

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from tests.harness.browser import Browser, missing  # noqa: E402
from tests.harness.daemon import Daemon  # noqa: E402
from tests.harness.lab import wait_for  # noqa: E402

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "-")

API = "http://127.0.0.1:7777"
PAGE = "http://127.0.0.1:8090/"
CONF = "plugins:\n  api: {}\nbackends:\n  view: {}\n"
LONG = bool(os.environ.get("FLOWD_LONG"))
ROWS = "#table-flows .body-row:not([hidden])"


def announce(*flows):
    """Flows over REST; each is (number, members)."""
    body = [{"state": "start", "protocol": "tcp",
             "source": {"address": "2001:db8::1", "port": 1024 + number % 60000},
             "destination": {"address": f"2001:db8:{number // 60000 + 2:x}::{number % 7 + 1:x}", "port": 1094},
             "experiment": "atlas", "activity": 16} | more for number, more in flows]
    for at in range(0, len(body), 5000):
        request = urllib.request.Request(API + "/flow", json.dumps(body[at:at + 5000]).encode(),
                                         {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=30).read()


def numbered(first, count, **more):
    return [(number, more) for number in range(first, first + count)]


@contextlib.contextmanager
def opened(fragment="", conf=CONF, **browser):
    """A daemon and a page that shows it; at the end nothing unusual has happened in the browser."""
    with Daemon(conf) as daemon, Browser(**browser) as page:
        page.run("await page.goto(url)", url=PAGE + fragment)
        yield daemon, page
        clean(page)


def clean(page, allowed=()):
    assert page.seen("errors") == []
    assert page.seen("violations") == []
    assert [line for line in page.seen("console") if not any(part in line for part in allowed)] == []
    assert [url for url in page.seen("requests") if not url.startswith((PAGE, "data:"))] == []


def column(page, name):
    return page.run("""return await page.evaluate(([rows, name]) => {
        const at = [...document.querySelectorAll("#table-flows [role=columnheader]")].findIndex((h) => h.textContent === name);
        return [...document.querySelectorAll(rows)].sort((a, b) => a.ariaRowIndex - b.ariaRowIndex).map((r) => r.children[at].textContent);
    }, [rows, name])""", rows=ROWS, name=name)


def test_a_flow_that_starts_appears_without_a_reload_and_one_that_ends_disappears():
    with opened("#flows") as (_, page):
        page.wait_text("#link-text", "live")
        page.wait_text("#table-flows .empty", "There are no live flows")
        announce(*numbered(1, 1))
        page.wait_text(ROWS, "[2001:db8::1]:1025")
        assert column(page, "Experiment / activity") == ["atlas / 16"] or "atlas" in column(page, "Experiment / activity")[0]
        assert page.text("#count-flows") == "1 flow"
        announce((1, {"state": "end"}))
        page.wait_text("#table-flows .empty", "There are no live flows")


def test_the_view_of_now_counts_flows_by_tag_and_network_and_draws_the_throughput():
    with opened() as (_, page):
        announce(*numbered(1, 30), *numbered(40, 5, experiment=3, activity=2))
        page.wait_text("#now-live", "35")
        page.wait_text("#now-tags", "atlas")
        page.wait_text("#now-networks", "2001:db8:2::/48")
        wait_for(lambda: page.run("return await page.locator('#chart-now path.out').count()") == 1, "the line of the chart", 30)
        assert "out" in page.run("return await page.locator('#chart-now').getAttribute('aria-label')")


def test_the_table_is_sorted_by_a_click_and_the_address_remembers_it():
    with opened("#flows") as (_, page):
        announce(*numbered(1, 20))
        wait_for(lambda: page.text("#count-flows") == "20 flows", "the flows", 30)
        page.run("await page.getByRole('button', { name: 'Source' }).click()")
        wait_for(lambda: (ports := column(page, "Source")) == sorted(ports), "ascending order", 10)
        page.run("await page.getByRole('button', { name: 'Source' }).click()")
        wait_for(lambda: (ports := column(page, "Source")) == sorted(ports, reverse=True), "descending order", 10)
        assert page.run("return page.url()").endswith("#flows?sort=-source")
        header = "return await page.getByRole('columnheader', { name: 'Source' }).getAttribute('aria-sort')"
        assert page.run(header) == "descending"
        page.run("await page.reload()")
        wait_for(lambda: len(ports := column(page, "Source")) > 10 and ports == sorted(ports, reverse=True), "the order again", 30)


def test_the_filter_selects_and_says_what_is_wrong_with_it():
    with opened("#flows") as (_, page):
        announce(*numbered(1, 20), *numbered(30, 3, experiment=3, activity=2))
        wait_for(lambda: page.text("#count-flows") == "23 flows", "the flows", 30)
        page.run("await page.getByRole('searchbox', { name: 'Filter' }).fill('experiment=3')")
        wait_for(lambda: page.text("#count-flows") == "3 flows", "the filtered flows", 30)
        assert "filter=experiment" in page.run("return page.url()")
        announce(*numbered(50, 1), *numbered(60, 1, experiment=3, activity=2))
        wait_for(lambda: page.text("#count-flows") == "4 flows", "a new flow that matches", 30)
        page.run("await page.getByRole('searchbox', { name: 'Filter' }).fill('experimnt=3')")
        page.wait_text("#error-flows", "experimnt")
        assert "column 1" in page.text("#error-flows")
        page.run("await page.getByRole('searchbox', { name: 'Filter' }).fill('')")
        wait_for(lambda: page.text("#count-flows") == "25 flows", "all flows again", 30)
        allowed = ["400 (Bad Request)"]
        clean(page, allowed)
        page.run("seen.console.length = 0")


def test_text_from_outside_stays_text():
    name = "<img src=x onerror=\"alert(1)\">\x07\x1b[31m\u202eevil\u2066"
    with opened("#flows") as (_, page):
        announce((1, {"application": name}))
        wait_for(lambda: column(page, "Application"), "the flow", 30)
        shown = column(page, "Application")[0]
        assert shown.startswith("<img src=x onerror=\"alert(1)\">")
        assert "\u202e" not in shown and "\u2066" not in shown and "\x1b" not in shown
        assert page.run("return await page.locator('img').count()") == 0
        page.run("await page.locator(rows).first().click()", rows=ROWS)
        page.wait_text("#flow-facts", "<img src=x")
        assert "\u202e" not in page.text("#flow-facts")
        assert page.run("return await page.locator('img').count()") == 0


def test_one_flow_is_explained():
    conf = CONF + "  firefly: {sendToCollector: true, collectorAddress: 127.0.0.1}\n"
    with opened("#flows", conf) as (_, page):
        announce(*numbered(1, 1))
        page.wait_text(ROWS, "[2001:db8::1]:1025")
        page.run("await page.locator('#table-flows').focus(); await page.keyboard.press('ArrowDown'); await page.keyboard.press('Enter')")
        page.wait_text("#flow-title", "[2001:db8::1]:1025")
        page.wait_text("#flow-facts", "atlas")
        page.wait_text("#flow-facts", "api")
        page.wait_text("#flow-explanations", "backend firefly")
        page.run("await page.goBack()")
        page.wait_text(ROWS, "[2001:db8::1]:1025")


def test_health_lists_the_instances():
    with opened("#health") as (_, page):
        page.wait_text("#health-instances", "plugin api")
        page.wait_text("#health-instances", "running")
        page.wait_text("#health-queues", "view")


def test_the_page_connects_again_after_the_daemon_was_restarted():
    with opened("#flows") as (daemon, page):
        announce(*numbered(1, 3))
        wait_for(lambda: page.text("#count-flows") == "3 flows", "the flows", 30)
        assert daemon.stop() == 0
        wait_for(lambda: page.run("return await page.locator('#link').getAttribute('data-state')") == "lost", "the loss", 30)
        daemon.start()
        page.wait_text("#link-text", "live", 60)
        announce(*numbered(10, 2))
        wait_for(lambda: page.text("#count-flows") == "2 flows", "the flows of the new daemon", 30)
        clean(page, ["ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_EMPTY_RESPONSE"])
        page.run("seen.console.length = 0")


def test_a_token_is_asked_for_and_never_part_of_an_address():
    token = "0123456789abcdef0123456789abcdef"
    conf = CONF.replace("view: {}", f"view: {{token: {token}}}")
    with opened("#flows", conf) as (_, page):
        announce(*numbered(1, 1))
        page.wait_text("#token-title", "requires a token")
        page.run("await page.getByLabel('Token').fill(wrong); await page.getByRole('button', { name: 'Show' }).click()", wrong="x" * 20)
        page.wait_text("#notice", "does not accept this token")
        page.run("await page.getByLabel('Token').fill(token); await page.getByRole('button', { name: 'Show' }).click()", token=token)
        page.wait_text(ROWS, "[2001:db8::1]:1025")
        page.run("await page.reload()")
        page.wait_text(ROWS, "[2001:db8::1]:1025")
        assert token not in page.run("return page.url()")
        assert not [url for url in page.seen("requests") if token in url]
        assert page.run("return await context.cookies()") == []
        clean(page, ["401 (Unauthorized)"])
        page.run("seen.console.length = 0")


@pytest.mark.parametrize("size", ["1400x900", "390x800"])
def test_everything_has_a_role_and_a_name_and_fits(size):
    with opened(size=size) as (_, page):
        announce(*numbered(1, 5))
        page.wait_text("#now-live", "5")
        for view in ("now", "flows", "ended", "health"):
            page.run("await page.goto(url)", url=PAGE + "#" + view)
            page.wait_text(f"nav a[data-view={view}]", view.title())
            tree = page.run("return await page.locator('body').ariaSnapshot()")
            for part in ("banner", "navigation \"Views\"", "main", "status"):
                assert part in tree, tree
            unnamed = page.run("""return await page.evaluate(() => [...document.querySelectorAll("input, button, a, svg, [role=grid]")]
                .filter((e) => !(e.labels?.length || e.getAttribute("aria-label") || e.textContent.trim())).map((e) => e.outerHTML))""")
            assert unnamed == []
            wide = page.run("return await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)")
            assert wide <= 0, f"{view} is wider than {size}"


def test_ten_thousand_rows_are_scrolled_smoothly():
    frame = 50 if LONG else 1000  # a machine that also builds has no even frames
    with opened("#flows") as (_, page):
        announce(*numbered(1, 10_000))
        wait_for(lambda: page.text("#count-flows") == "10,000 flows", "the flows", 60)
        worst, nodes = page.run("""return await page.evaluate((seconds) => new Promise((done) => {
            const grid = document.getElementById("table-flows"), begin = performance.now();
            let last = begin, worst = 0, nodes = 0;
            const step = (now) => {
                worst = Math.max(worst, now - last);
                last = now;
                nodes = Math.max(nodes, document.getElementsByTagName("*").length);
                const part = (now - begin) / (seconds * 1000);
                grid.scrollTop = part * grid.scrollHeight;
                if (part < 1) requestAnimationFrame(step); else done([worst, nodes]);
            };
            requestAnimationFrame(step);
        }), seconds)""", seconds=10 if LONG else 3)
        print(f"worst frame {worst:.0f} ms, {nodes} elements")
        assert nodes < 2000
        assert worst < frame


def test_the_memory_of_the_page_does_not_grow():
    rounds, seconds, bound = (10, 30, 1.3) if LONG else (6, 2, 3)
    with opened("#flows") as (_, page):
        page.wait_text("#link-text", "live")
        over, failed = threading.Event(), []

        def churn():  # 1,000 starts and 1,000 ends a second
            at = 0
            try:
                while not over.wait(1):
                    announce(*numbered(at, 1000))
                    if at >= 3000:
                        announce(*[(n, {"state": "end"}) for n, _ in numbered(at - 3000, 1000)])
                    at += 1000
            except OSError as error:
                failed.append(error)

        thread = threading.Thread(target=churn)
        thread.start()
        try:
            heap = "return await page.evaluate(() => { gc(); return performance.memory.usedJSHeapSize; })"
            sizes = []
            for _ in range(rounds):
                over.wait(seconds)
                sizes.append(page.run(heap) / 1e6)
        finally:
            over.set()
            thread.join()
        print("heap in MB: " + " ".join(f"{size:.1f}" for size in sizes))
        assert failed == []
        assert max(sizes[rounds // 2:]) < bound * max(sizes[1:rounds // 2])
