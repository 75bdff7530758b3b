"""page.png and page-phone.png: the page of the run that is shipped, in Chromium.

    python docs/images/page.py

It measures fixtures/runs/digits-mlp with its loss, writes the page with `dyntools report`, and
takes what a window of 1280 × 1060 and a phone of 375 × 812 in dark colours show. It needs Chromium
and `pip install '.[browser]'`; nothing of the pictures is made by hand.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RUN = "fixtures/runs/digits-mlp"
PICTURES = {
    "page.png": {"viewport": {"width": 1280, "height": 1060}, "color_scheme": "light"},
    "page-phone.png": {
        "viewport": {"width": 375, "height": 812},
        "color_scheme": "dark",
        "device_scale_factor": 2,
    },
}


def dyntools(*arguments: object) -> None:
    command = [sys.executable, "-m", "dyntools", *map(str, arguments)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        report, page = Path(folder) / "digits-mlp.h5", Path(folder) / "digits-mlp.html"
        problem = f"{RUN}/problem.py"
        dyntools("analyze", RUN, "--preset", "full", "--problem", problem, "-o", report)
        dyntools("report", report, "-o", page)
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, options in PICTURES.items():
            tab = browser.new_page(**options)
            tab.goto(page.as_uri())
            tab.screenshot(path=HERE / name)
            print(f"wrote {HERE / name}")
        browser.close()


if __name__ == "__main__":
    main()
