"""Pages in a real browser, Debian's chromium: what happened on them, and whether their words can be read."""

import os
import shutil
from contextlib import contextmanager

import pytest

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-quic", "--no-first-run", "--disable-component-update", "--disable-sync"]


def lacking(what):
    if os.environ.get("DATACOMP_NO_SKIP") == "1":
        pytest.fail(f"{what}, and DATACOMP_NO_SKIP=1 forbids to skip")
    pytest.skip(what)


def launched():
    program = shutil.which("chromium")
    if program is None:
        lacking("Debian's chromium is not installed: apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        lacking("the Python package playwright is not installed: it is in the dev extra")
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=program, args=FLAGS)
        yield started
        started.close()


class Watched:
    """A page and everything that happened on it."""

    def __init__(self, opened):
        self.page = opened
        self.dialogs, self.messages, self.requests = [], [], []
        opened.on("dialog", self._dialog)
        opened.on("console", lambda message: self.messages.append(message.text))
        opened.on("pageerror", lambda error: self.messages.append(str(error)))
        opened.on("request", lambda request: self.requests.append(request.url))

    def _dialog(self, dialog):
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def goto(self, address, until="load"):
        self.page.goto(address, wait_until=until)


@contextmanager
def watching(browser, **options):
    context = browser.new_context(**options)
    try:
        yield Watched(context.new_page())
    finally:
        context.close()


# WCAG 2: at least 4.5 to 1 between letters and what is behind them. A canvas turns any CSS colour into numbers.
CONTRAST = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
  const numbers = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const linear = (value) => value <= .04045 ? value / 12.92 : ((value + .055) / 1.055) ** 2.4;
  const light = ([red, green, blue]) => .2126 * linear(red / 255) + .7152 * linear(green / 255) + .0722 * linear(blue / 255);
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const color = numbers(getComputedStyle(element).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const element of document.querySelectorAll('body *')) {
    const words = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!words || !element.checkVisibility()) continue;
    const [dark, bright] = [light(numbers(getComputedStyle(element).color)), light(behind(element))].sort((a, b) => a - b);
    if ((bright + .05) / (dark + .05) < 4.5) low.push(`${element.className}: ${element.textContent.slice(0, 40)}`);
  }
  return low;
}"""
