"""dyntools doctor: versions, devices, and whether this machine's torch computes what it should."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import typer

from dyntools.cli import terminal

if TYPE_CHECKING:
    import torch

LIBRARIES = ("dyntools", "torch", "numpy", "scipy", "h5py", "matplotlib", "typer", "rich")
TOLERANCE = 1e-10  # float64 rounding of a Hessian with entries near 1, with room


def command() -> None:
    """Check the installation: versions, devices, and a double backward against a closed form.

    Example: dyntools doctor
    """
    import torch

    console = terminal.stdout()
    console.print(f"python        {platform.python_version()} on {platform.system()}")
    for library in LIBRARIES:
        console.print(f"{library:<13} {_version(library)}")
    devices = [torch.device("cpu")]
    devices += [torch.device("cuda", i) for i in range(torch.cuda.device_count())]
    healthy = True
    for device in devices:
        error = double_backward_error(device)
        verdict = "ok" if error < TOLERANCE else "WRONG"
        healthy &= error < TOLERANCE
        console.print(f"{device!s:<13} {verdict}: Hessian by double backward, off by {error:.1e}")
    if torch.backends.mps.is_available():
        console.print("mps           without float64: decompositions run on the CPU")
    if not healthy:
        raise typer.Exit(2)


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"


def double_backward_error(device: torch.device) -> float:
    """Largest error of the Hessian of sum(log cosh(A x)), known as Aᵀ diag(sech²(A x)) A."""
    import torch

    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(5, 3, generator=generator, dtype=torch.float64).to(device)
    point = torch.randn(3, generator=generator, dtype=torch.float64).to(device).requires_grad_()
    loss = (matrix @ point).cosh().log().sum()
    (gradient,) = torch.autograd.grad(loss, point, create_graph=True)
    rows = [torch.autograd.grad(entry, point, retain_graph=True)[0] for entry in gradient]
    slope = 1 / (matrix @ point.detach()).cosh().square()
    exact = matrix.T @ (slope[:, None] * matrix)
    return float((torch.stack(rows) - exact).abs().max())
