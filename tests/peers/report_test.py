#!/usr/bin/env python3
"""Opens reports in a real browser, at the width of a phone and of a desktop, light and dark, and on paper.

usage: report_test.py BUILD-DIRECTORY

The pages are those that tests/kfer_test_train of the build writes; or, if KFER_REPORTS is set, the files it names,
separated by colons. KFER_SCREENSHOTS: a folder that gets a picture of every page. Exits with 77 without Chromium.
Needs nothing but Python: it talks to the browser through its DevTools pipe.
"""

import base64
import fcntl
import json
import os
import pathlib
import select
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
ENOUGH = 120  # seconds for one answer of a browser on a busy machine

WIDTHS = {"phone": (390, 844), "desktop": (1280, 900)}
SECTIONS = {
    "multi_label.html": "results curves thresholds precision-recall labels cooccurrence samples arguments facts",
    "emo22.html": "results curves confusion precision-recall labels samples arguments facts",
    "basic6.html": "results curves confusion precision-recall labels samples arguments facts",
    "long.html": "results curves thresholds precision-recall labels cooccurrence arguments facts",
    "autoencoder.html": "curves figures",
    "one_label.html": "thresholds precision-recall labels",
    "hostile.html": "results curves thresholds precision-recall labels cooccurrence samples figures arguments facts",
    "summary.html": "results runs notes facts",
}

# Looks at the page as the browser has laid it out; returns what it is and a list of what is wrong.
LOOK = r"""
(() => {
  for (const folded of document.querySelectorAll('details')) folded.open = true;
  const wrong = [];
  const say = (what, element) =>
    wrong.push(what + ': ' + (element ? '<' + element.tagName + ' class="' + (element.className.baseVal ??
      element.className) + '"> ' + element.textContent.trim().slice(0, 60) : ''));
  const rgb = text => {
    const n = text.match(/[\d.]+/g).map(Number);
    return n.length < 4 ? [n[0], n[1], n[2], 1] : n;
  };
  const luminance = c => {
    const [r, g, b] = c.slice(0, 3).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const c = rgb(getComputedStyle(e).backgroundColor);
      if (c[3] === 1) return c;
      if (c[3] !== 0) say('half-transparent background', e);
    }
    say('no background', element);
    return [255, 255, 255, 1];
  };
  let texts = 0, lowest = 99;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; node = walker.nextNode();) {
    const element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility() || element.closest('title')) continue;
    const style = getComputedStyle(element), svg = element.closest('svg');
    const ink = luminance(rgb(svg ? style.fill : style.color)), page = luminance(behind(svg ?? element));
    const contrast = (Math.max(ink, page) + .05) / (Math.min(ink, page) + .05);
    ++texts;
    lowest = Math.min(lowest, contrast);
    if (!(contrast >= 4.5)) say('contrast ' + contrast.toFixed(2), element);
    let size = parseFloat(style.fontSize);
    if (svg) size *= svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    if (!(size >= SMALLEST)) say('text of ' + size.toFixed(1) + ' px', element);
  }
  for (const svg of document.querySelectorAll('svg')) {
    if (svg.getAttribute('aria-hidden') !== 'true' && !(svg.getAttribute('role') === 'img' && svg.ariaLabel))
      say('a chart without a description', svg);
    const box = svg.viewBox.baseVal;
    if (!(svg.getBoundingClientRect().width > 20)) say('a chart without width', svg);
    const boxes = [...svg.querySelectorAll('text')].map(t => [t, t.getBBox()]);
    for (const [text, b] of boxes)
      if (b.x < -.5 || b.y < -.5 || b.x + b.width > box.width + .5 || b.y + b.height > box.height + .5)
        say('text outside of its chart', text);
    for (let i = 0; i < boxes.length; ++i)
      for (let j = 0; j < i; ++j) {
        const [a, b] = [boxes[i][1], boxes[j][1]];
        if (Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x) > 1 &&
            Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y) > 4)
          say('text over text (' + boxes[j][0].textContent + ')', boxes[i][0]);
      }
    for (const shape of svg.querySelectorAll('path, rect, circle')) {
      const b = shape.getBBox();
      if (!(b.x >= -1 && b.y >= -1 && b.x + b.width <= box.width + 1 && b.y + b.height <= box.height + 1))
        say('a shape outside of its chart', shape);
    }
  }
  for (const image of document.images)
    if (!(image.complete && image.naturalWidth > 0 && image.getBoundingClientRect().width > 0 && image.hasAttribute('alt')))
      say('an image that shows nothing or has no description', image);
  for (const th of document.querySelectorAll('th')) if (!['row', 'col'].includes(th.scope)) say('a heading without scope', th);
  for (const a of document.querySelectorAll('nav a'))
    if (!document.getElementById(decodeURIComponent(a.hash.slice(1)))) say('a link to nowhere', a);
  const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
  if (new Set(ids).size !== ids.length) say('an id twice: ' + ids);
  if (document.querySelectorAll('h1').length !== 1) say('not one h1');
  for (const e of document.querySelectorAll('script, iframe, object, link, img:not([src^="data:image/"])')) say('a foreign element', e);
  for (const e of document.querySelectorAll('*'))
    for (const a of e.attributes) if (a.name.startsWith('on')) say('an event handler', e);
  const width = document.documentElement.scrollWidth;
  if (width > innerWidth) {
    say('the page is ' + width + ' px wide in a window of ' + innerWidth);
    for (const e of document.querySelectorAll('main *, header *'))
      if (e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.scroll')) say('too wide', e);
  }
  for (const e of document.querySelectorAll('body *'))
    if (e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0 && getComputedStyle(e).overflowX === 'hidden')
      say('content cut off', e);
  return {wrong: wrong.slice(0, 20), texts, lowest, title: document.title,
          sections: [...document.querySelectorAll('section')].map(s => s.id).join(' '),
          dark: matchMedia('(prefers-color-scheme: dark)').matches, page: rgb(getComputedStyle(document.body).backgroundColor)};
})()
"""


class Browser:
    """A headless browser, spoken to through file descriptors 3 and 4: JSON messages, each ended by a zero byte."""

    def __init__(self, profile):
        to_child, self.out = os.pipe()
        self.into, from_child = os.pipe()
        # Out of the way of 3 and 4, where the browser wants them.
        ends = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (to_child, from_child)]

        def place():
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        flags = ["--headless", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-dev-shm-usage",
                 "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"]
        if os.geteuid() == 0:
            flags.insert(0, "--no-sandbox")
        self.process = subprocess.Popen([CHROMIUM, *flags], preexec_fn=place, pass_fds=(3, 4),
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for fd in (to_child, from_child, *ends):
            os.close(fd)
        self.buffer, self.next_id, self.events, self.session = b"", 0, [], None

    def close(self):
        try:
            self.call("Browser.close", of_page=False)
        except RuntimeError:
            pass
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.out)
        os.close(self.into)

    def receive(self):
        deadline = time.monotonic() + ENOUGH
        while b"\0" not in self.buffer:
            if not select.select([self.into], [], [], max(0, deadline - time.monotonic()))[0]:
                raise RuntimeError("the browser does not answer")
            piece = os.read(self.into, 1 << 16)
            if not piece:
                raise RuntimeError("the browser is gone")
            self.buffer += piece
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, of_page=True, **parameters):
        self.next_id += 1
        message = {"id": self.next_id, "method": method, "params": parameters}
        if of_page and self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            try:
                data = data[os.write(self.out, data):]
            except BrokenPipeError:
                raise RuntimeError("the browser is gone") from None
        while True:
            answer = self.receive()
            if answer.get("id") == self.next_id:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def open_tab(self):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def show(self, path, size, scheme):
        """Loads a file; returns the events of loading it."""
        self.call("Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1, mobile=size[0] < 600)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self.receive())

    def look(self, smallest=10):
        """LOOK, with the least size of text in CSS pixels."""
        return self.evaluate(LOOK.replace("SMALLEST", str(smallest)))

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"]["exception"]["description"])
        return result["result"]["value"]

    def screenshot(self, path):
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True,
                         clip={"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1})
        path.write_bytes(base64.b64decode(shot["data"]))

    def complaints(self):
        """Errors on the console, dialogues, and everything fetched from elsewhere."""
        for event in self.events:
            method, parameters = event.get("method"), event.get("params", {})
            if method == "Runtime.exceptionThrown":
                yield "exception: " + json.dumps(parameters)[:300]
            elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
                yield "log: " + parameters["entry"]["text"]
            elif method == "Runtime.consoleAPICalled":
                yield "console: " + json.dumps(parameters)[:300]
            elif method == "Page.javascriptDialogOpening":
                yield "a dialogue opens"
            elif method == "Network.requestWillBeSent":
                url = parameters["request"]["url"]
                if not url.startswith("data:") and parameters.get("type") != "Document":
                    yield "fetches " + url


class Report(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        if os.environ.get("KFER_REPORTS"):
            cls.pages = [pathlib.Path(path).resolve() for path in os.environ["KFER_REPORTS"].split(":")]
        else:
            written = pathlib.Path(cls.folder.name) / "pages"
            written.mkdir()
            subprocess.run([BUILD / "tests" / "kfer_test_train", "-tc=report pages*"], check=True, timeout=300,
                           env=dict(os.environ, KFER_REPORT_DIR=str(written)), stdout=subprocess.DEVNULL)
            cls.pages = sorted(written.glob("*.html"))
            assert {page.name for page in cls.pages} == set(SECTIONS), cls.pages
        cls.browser = Browser(cls.folder.name + "/profile")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.addClassCleanup(cls.browser.close)
        cls.browser.open_tab()
        cls.pictures = os.environ.get("KFER_SCREENSHOTS")

    def test_pages(self):
        for page in self.pages:
            for width, size in WIDTHS.items():
                for scheme in ("light", "dark"):
                    with self.subTest(page=page.name, width=width, scheme=scheme):
                        self.browser.show(page, size, scheme)
                        found = self.browser.look()
                        if self.pictures:
                            self.browser.screenshot(pathlib.Path(self.pictures) / f"{page.stem}-{width}-{scheme}.png")
                        self.assertEqual(found["wrong"], [])
                        self.assertEqual(list(self.browser.complaints()), [])
                        self.assertGreater(found["texts"], 10)
                        self.assertTrue(found["title"])
                        self.assertEqual(found["dark"], scheme == "dark")
                        self.assertEqual(sum(found["page"][:3]) < 300, scheme == "dark")
                        if page.name in SECTIONS and not os.environ.get("KFER_REPORTS"):
                            self.assertEqual(found["sections"], SECTIONS[page.name])

    def test_what_the_checks_see(self):
        """The checks are no use if they pass on anything: each planted fault is found."""
        faults = {
            "contrast": "<p style='color:#999;background:#fff'>pale</p>",
            "px wide": "<p style='width:3000px'>wide</p>",
            "text of": "<p style='font-size:7px'>small</p>",
            "text outside": "<svg role='img' aria-label='x' viewBox='0 0 400 100'><text x='390' y='50'>long text</text></svg>",
            "text over": "<svg role='img' aria-label='x' viewBox='0 0 400 100'><text x='9' y='50'>one</text>"
                         "<text x='12' y='52'>two</text></svg>",
            "a shape": "<svg role='img' aria-label='x' viewBox='0 0 400 100'><path d='M0 0H900'/></svg>",
            "an image": "<img alt='broken' src='data:image/png;base64,AAAA'>",
            "scope": "<table><tr><th>heading</th></tr></table>",
            "a chart without": "<svg viewBox='0 0 9 9'></svg>",
            "event handler": "<p onclick='1'>x</p>",
            "foreign": "<script></script>",
        }
        for name, fault in faults.items():
            with self.subTest(fault=name):
                page = pathlib.Path(self.folder.name) / "fault.html"
                page.write_text(f"<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width'>"
                                f"<title>t</title><body style='background:#fff'><h1>t</h1><main>{fault}</main>")
                self.browser.show(page, WIDTHS["desktop"], "light")
                self.assertIn(name, " ".join(self.browser.look()["wrong"]))

    def test_paper(self):
        for page in self.pages:
            with self.subTest(page=page.name):
                self.browser.show(page, WIDTHS["desktop"], "dark")
                pdf = base64.b64decode(self.browser.call("Page.printToPDF", printBackground=True, preferCSSPageSize=True)["data"])
                self.assertTrue(pdf.startswith(b"%PDF-"))
                if self.pictures:
                    (pathlib.Path(self.pictures) / f"{page.stem}.pdf").write_bytes(pdf)
                # On paper all is light, and nothing scrolls: what is wider than A4 without margins, 182 mm, is lost.
                self.browser.call("Emulation.setEmulatedMedia", media="print",
                                  features=[{"name": "prefers-color-scheme", "value": "dark"}])
                self.browser.call("Emulation.setDeviceMetricsOverride", width=688, height=1000, deviceScaleFactor=1, mobile=False)
                found = self.browser.look(smallest=7)
                self.browser.call("Emulation.setEmulatedMedia", media="")
                self.assertEqual(found["wrong"], [])
                self.assertEqual(found["page"], [255, 255, 255, 1])


if __name__ == "__main__":
    if CHROMIUM is None:
        print("report: no Chromium here (Debian: chromium)")
        sys.exit(77)
    BUILD = pathlib.Path(sys.argv.pop(1))
    unittest.main()
