# SPDX-License-Identifier: Apache-2.0
"""A page in headless Chromium, driven by playwright-core (tests/browser/drive.mjs)."""
import json
import os
import pathlib
import shutil
import subprocess

from .lab import sh, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHROMIUM = os.environ.get("FLOWD_CHROMIUM", "/usr/bin/chromium")
SECONDS = 30


def playwright():
    return pathlib.Path(sh(str(ROOT / "tests/browser/fetch-playwright"), "--where").stdout.strip())


def missing():
    """Why no browser can be started; empty: it can."""
    lacking = [program for program in (CHROMIUM, "node") if shutil.which(program) is None]
    if not (playwright() / "complete").exists():
        lacking.append("playwright-core")
    return f"needs a browser: {', '.join(lacking)} missing; run scripts/install-dependencies browser" if lacking else ""


class Browser:
    """with Browser() as page: page.run("await page.goto('http://127.0.0.1:8090/')")"""

    def __init__(self, size="1400x900", scheme="light", **context):
        self.command = ["node", str(ROOT / "tests/browser/drive.mjs"), str(playwright()), size, scheme, json.dumps(context)]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.version = self.answer()
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def answer(self):
        line = self.process.stdout.readline()
        assert line, "the driver of the browser has ended"
        answer = json.loads(line)
        if "error" in answer:
            raise AssertionError(answer["error"])
        return answer["value"]

    def run(self, code, **values):
        """The value that the code returns. `values` are constants in it."""
        constants = "".join(f"const {name} = {json.dumps(value)};\n" for name, value in values.items())
        self.process.stdin.write(json.dumps({"code": constants + code}) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def text(self, selector):
        return self.run("return await page.locator(selector).first().innerText()", selector=selector)

    def wait_text(self, selector, part, seconds=SECONDS):
        """Until the element contains the text."""
        wait_for(lambda: part in (self.text(selector) or ""), f"{part!r} in {selector}", seconds)

    def seen(self, name):
        return self.run("return seen[name]", name=name)

    def scroll(self, element, seconds):
        """Scrolls from the top to the end in this time: (the longest frame in ms, the most elements of the page)."""
        return self.run("""return await page.evaluate(([element, seconds]) => new Promise((done) => {
            const grid = document.getElementById(element), begin = performance.now();
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
        }), [element, seconds])""", element=element, seconds=seconds)
