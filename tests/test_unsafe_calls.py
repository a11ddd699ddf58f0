"""The program opens no pickles, runs no code and no other program, and lets no library look for files."""

import ast
from pathlib import Path

import pytest

import smd_cli

PACKAGE = Path(smd_cli.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))

LOADERS = {"from_pretrained", "from_single_file", "from_config", "load_checkpoint", "load_adapter"}
MODULES = {
    *("pickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "accelerate", "kernels"),
    *("subprocess", "pty", "webbrowser", "runpy", "code"),
}
CALLS = {
    *("torch.load", "torch.hub.load", "torch.jit.load", "numpy.load", "np.load", "eval", "exec"),
    *("os.system", "os.popen", "os.startfile", "os.posix_spawn"),
}

BENCH = {
    "bench/batch_speed.py": {"subprocess", "from_pretrained"},
    "bench/diffusers_script.py": {"from_pretrained"},
}
"""What a benchmark starts: this program and a script of its own, on a model that it has saved itself."""


def unsafe(source: str) -> list[str]:
    """What a module does that it must not, and where."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in LOADERS:
            found.append((node.lineno, node.attr))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in CALLS:
            found.append((node.lineno, ast.unparse(node.func)))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None) or ""
            names = [module, *(alias.name for alias in node.names)]
            found += [(node.lineno, name) for name in names if name.split(".")[0] in MODULES]
            calls = (f"{module}.{alias.name}" for alias in node.names)
            found += [(node.lineno, name) for name in calls if name in CALLS]
        elif isinstance(node, ast.keyword) and node.arg == "trust_remote_code":
            found.append((node.lineno, node.arg))
    return [f"{line}: {what}" for line, what in found]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_calls_what_is_unsafe(path):
    found = {line.partition(": ")[2] for line in unsafe(path.read_text(encoding="utf-8"))}
    assert found == BENCH.get(path.relative_to(PACKAGE).as_posix(), set())


@pytest.mark.parametrize(
    "source",
    [
        "CLIPTextModel.from_pretrained(None)",
        "load = UNet.from_single_file",
        "import pickle",
        "from torch import pickle\nfrom pickle import loads",
        "torch.load(path, weights_only=True)",
        "from torch import load",
        "from subprocess import run",
        "os.system(name)",
        "AutoModel(name, trust_remote_code=True)",
    ],
)
def test_what_is_unsafe_is_found(source):
    assert unsafe(source)
