"""Fills the marked blocks of the READMEs from what was measured, and takes the pictures in docs/img from a review.

`make readme` runs it whole; tests/test_readme.py compares the blocks with `blocks()`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from benchmarks.results import load
from ltvlab_utils import params, store

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "img"
CHROMIUM_FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--force-device-scale-factor=1",
]  # fmt: skip
WORDS = {
    "en": ("command", "measured", "`make review`, fresh clone, empty pip cache", "`make review` again, nothing changed",
           "`make test`, same clone", "`make review`, warm, nothing to reuse (share of kernel start-up)", "s",
           "Measured on {cores} cores, Python {python}; made by `make readme` from `benchmarks/results.json`."),
    "ja": ("コマンド", "実測", "`make review`（クローン直後、pip キャッシュなし）", "`make review` 再実行（変更なし）",
           "`make test`（同じクローン）", "`make review`（環境あり、再利用なし。括弧内はカーネル起動の割合）", "秒",
           "{cores} コア、Python {python} で計測。`benchmarks/results.json` から `make readme` で作成。"),
}  # fmt: skip


def measured(language: str) -> str:
    """The table of measured times."""
    results, (command, value, first, again, test, warm, s, note) = load(), WORDS[language]
    if "fresh_clone" not in results or "review" not in results:
        return ""  # a checkout that has not been measured claims nothing
    fresh, review = results["fresh_clone"]["figures"], results["review"]["figures"]
    rows = [
        (first, f"{fresh['review_seconds']:.0f} {s}"),
        (again, f"{fresh['review_again_seconds']:.1f} {s}"),
        (test, f"{fresh['test_seconds']:.0f} {s}"),
        (warm, f"{review['seconds']:.0f} {s} ({review['kernel_start_share']:.0%})"),
    ]
    lines = [f"| {command} | {value} |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)]
    return "\n".join([*lines, "", note.format(**results["fresh_clone"]["machine"])])


def keys() -> str:
    """The table of all parameters."""
    rows = params.describe()
    heads = ["key", "type", "default", "unit", "used by", "meaning"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in rows:
        cells = [f"`{row['key']}`", row["type"], f"`{row['default']}`", *(row[h] for h in heads[3:])]
        lines.append("| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |")
    return "\n".join(lines)


def blocks() -> dict[tuple[str, str], str]:
    """(file, block) -> text that must stand between the markers."""
    return {
        ("README.md", "measured"): measured("en"),
        ("README.ja.md", "measured"): measured("ja"),
        ("params/README.md", "keys"): keys(),
    }


def block_in(text: str, name: str) -> str:
    """What stands between the markers of a block."""
    found = re.search(rf"<!-- begin:{name} -->\n(.*?)\n?<!-- end:{name} -->", text, flags=re.S)
    if not found:
        raise ValueError(f"no block {name}")
    return found[1]


def put(file: str, name: str, content: str) -> None:
    """Writes a block between its markers."""
    path = ROOT / file
    text = path.read_text(encoding="utf-8")
    pattern = rf"(<!-- begin:{name} -->\n).*?(<!-- end:{name} -->)"
    path.write_text(re.sub(pattern, lambda m: m[1] + content + "\n" + m[2], text, flags=re.S), encoding="utf-8")
    print(f"{file}: {name}")


def fill() -> None:
    for (file, name), content in blocks().items():
        put(file, name, content)


def pictures() -> None:
    """Photographs the reading copies of the sample review in both languages."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not browser:
        sys.exit("No Chromium was found: install it (Debian: chromium, fonts-ipaexfont), then run make readme again.")
    run = store.read("sample", "2025-06")
    IMAGES.mkdir(parents=True, exist_ok=True)
    for language in ("en", "ja"):
        page = run.folder / "pages" / f"executive.{language}.html"
        image = IMAGES / f"executive.{language}.png"
        with tempfile.TemporaryDirectory() as profile:
            command = [browser, *CHROMIUM_FLAGS, f"--user-data-dir={profile}", "--window-size=1366,1400"]
            subprocess.run(
                [*command, f"--screenshot={image}", page.as_uri()], check=True, capture_output=True, timeout=120
            )
        with Image.open(image) as drawn:
            drawn.convert("RGB").quantize(128).save(image, optimize=True)
        print(f"{image.relative_to(ROOT)}: {image.stat().st_size // 1024} KB")


def main() -> None:
    from benchmarks import sample_report  # it takes `put` from here

    fill()
    pictures()
    sample_report.main()


if __name__ == "__main__":
    main()
