"""watch.png: `dyntools watch` at a terminal of 100 × 40, while a small language model trains.

    python docs/images/watch.py

It trains in one process, watches in another at a pseudo-terminal, takes what the terminal was sent,
and draws the last frame before the training ended. Nothing of the picture is made by hand.
"""

from __future__ import annotations

import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from fcntl import ioctl
from pathlib import Path

HERE = Path(__file__).parent
ROWS, COLUMNS = 40, 100
STEPS = 1200


def train(path: Path) -> None:
    """A byte-level transformer on the pages of the documentation, its rate a little high."""
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy

    from dyntools import Problem
    from dyntools.callbacks import Recorder, every

    torch.manual_seed(0)
    torch.set_num_threads(1)
    pages = "".join(page.read_text() for page in sorted(HERE.parent.glob("how-to/*.md")))
    text = torch.tensor(list(pages.encode()), dtype=torch.long)
    held_out, text = text[-4096:], text[:-4096]
    context, width = 32, 32

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query_key_value = nn.Linear(width, 3 * width)
            self.out = nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
            self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            q, k, v = self.query_key_value(self.before(x)).chunk(3, dim=-1)
            mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()
            scores = (q @ k.transpose(1, 2) / width**0.5).masked_fill(~mask, -torch.inf)
            x = x + self.out(scores.softmax(-1) @ v)
            return x + self.down(torch.relu(self.up(self.between(x))))

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bytes = nn.Embedding(256, width)
            self.places = nn.Embedding(context, width)
            self.blocks = nn.Sequential(*(Block() for _ in range(4)))
            self.head = nn.Linear(width, 256)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.blocks(self.bytes(x) + self.places(torch.arange(x.shape[1]))))

    def batch(source: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        starts = torch.randint(len(source) - context - 1, (count, 1))
        windows = source[starts + torch.arange(context + 1)]
        return windows[:, :-1], windows[:, 1:]

    def loss_of(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return cross_entropy(outputs.flatten(0, 1), targets.flatten())

    model, validation = Model(), batch(held_out, 32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    problem = Problem(Model(), [batch(text, 8)], lambda z, b: loss_of(z, b[1]))
    metrics = ["layer_rotation", "effective_rank", "relative_update", "update_snr", "weight_norm",
               "epsilon_underflow", "adam_sharpness", "generalization_gap"]  # fmt: skip
    recorder = Recorder(
        model, optimizer, problem=problem, metrics=metrics, schedule=every(50), path=path,
        budget=0.3,
    )  # fmt: skip
    with recorder:
        for step in range(STEPS):
            rate = 1e-2 * min(1.0, (step + 1) / 20) * (1 - 0.7 * step / STEPS)
            optimizer.param_groups[0]["lr"] = rate
            inputs, targets = batch(text, 16)
            loss = loss_of(model(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scalars = {"train_loss": loss.item(), "lr": rate, "grad_norm": norm.item()}
            if step % 50 == 0:
                with torch.no_grad():
                    scalars["val_loss"] = loss_of(model(validation[0]), validation[1]).item()
            recorder.step(step, **scalars)


def recorded(path: Path) -> list[str]:
    """The frames that `dyntools watch` sent to its terminal while the training ran."""
    master, slave = pty.openpty()
    ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    environment = {k: v for k, v in environment.items() if k not in ("COLUMNS", "LINES")}
    watching = [sys.executable, "-m", "dyntools", "watch", str(path), "--every", "0.5"]
    watch = subprocess.Popen(watching, stdin=slave, stdout=slave, stderr=slave, env=environment)
    trainer = subprocess.Popen([sys.executable, __file__, "train", str(path)])
    sent = b""
    while trainer.poll() is None:
        if select.select([master], [], [], 0.1)[0]:
            sent += os.read(master, 65536)
    time.sleep(0.2)
    watch.terminate()
    watch.wait()
    os.close(slave)
    os.close(master)
    if trainer.returncode:
        raise SystemExit(f"the training ended with {trainer.returncode}")
    return sent.decode("utf-8", "replace").split("\x1b[H")


def draw(frame: str, path: Path) -> None:
    """The characters of a frame in their cells; blocks and braille as shapes, as terminals do."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle, Rectangle
    from rich.ansi import AnsiDecoder
    from rich.console import Console
    from rich.terminal_theme import NIGHT_OWLISH as THEME

    wide, high = 0.082, 0.175  # inches of a cell
    figure = Figure(figsize=(COLUMNS * wide + 0.3, ROWS * high + 0.3), facecolor="#fbfbfb")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-0.15, COLUMNS * wide + 0.15), ylim=(ROWS * high + 0.15, -0.15))
    axes.set_axis_off()
    console = Console(width=COLUMNS, color_system="truecolor", legacy_windows=False)
    for i, line in enumerate(AnsiDecoder().decode(frame.replace("\r", ""))):
        j = 0
        for segment in line.render(console):
            style = segment.style
            colour = "#1f2430"
            if style is not None and style.color is not None:
                red, green, blue = style.color.get_truecolor(THEME)
                colour = f"#{red:02x}{green:02x}{blue:02x}"
            faint = 0.55 if style is not None and style.dim else 1.0
            weight = "bold" if style is not None and style.bold else "normal"
            for character in segment.text.rstrip("\n"):
                x, y, code = j * wide, i * high, ord(character)
                j += 1
                if 0x2581 <= code <= 0x2588:
                    tall = high * (code - 0x2580) / 8
                    axes.add_patch(Rectangle((x, y + high - tall), wide, tall, color=colour, lw=0))
                elif 0x2800 <= code < 0x2900:
                    for k, bit in enumerate((0, 3, 1, 4, 2, 5, 6, 7)):
                        if code >> bit & 1:
                            place = (
                                x + wide * (0.27 + 0.46 * (k % 2)),
                                y + high * (k // 2 + 0.5) / 4,
                            )
                            axes.add_patch(Circle(place, 0.017, color=colour, lw=0))
                elif character != " ":
                    axes.text(
                        x + wide / 2, y + high / 2, character, family="DejaVu Sans Mono", size=9.5,
                        color=colour, alpha=faint, weight=weight, ha="center", va="center_baseline",
                    )  # fmt: skip
    figure.savefig(path, dpi=150, metadata={"Software": None})


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        frames = recorded(Path(folder) / "small-gpt.jsonl")
    whole = [frame for frame in frames if "\x1b[32mrecording" in frame]
    draw(whole[-1], HERE / "watch.png")
    print(f"{len(frames)} frames; the last of the running training is in {HERE / 'watch.png'}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["train"]:
        train(Path(sys.argv[2]))
    else:
        main()
