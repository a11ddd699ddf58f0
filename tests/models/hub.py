"""A small stand-in for the Hugging Face hub on the loopback address: the routes that a download needs.

It serves folders of this disk as repositories. Programs reach it by `HF_ENDPOINT`, with a cache of their own,
so that what the hub's library does on the way is tested too.
"""

import atexit
import hashlib
import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

TOKEN = "hf_opensesame"

UNET = "unet/diffusion_pytorch_model.safetensors"
VAE = "vae/diffusion_pytorch_model.safetensors"
TEXT = "text_encoder/model.safetensors"
CONFIGS = [
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "tokenizer/merges.txt",
    "tokenizer/tokenizer_config.json",
    "tokenizer/vocab.json",
    "unet/config.json",
    "vae/config.json",
]
"""All that is fetched of a small model but its weights."""

PROGRAM = """
import io, json, os, sys
from contextlib import redirect_stderr
from typer.testing import CliRunner
from smd_cli.app import model_info, model_list, model_needs, model_pull
from smd_cli.cli import check, generate, model_tables, progress, stream
from smd_cli.cli.app import app
from smd_cli.errors import AssetError
from smd_cli.models.assets import ModelSpec, locate
assert "huggingface_hub" not in sys.modules  # which reads the environment once
def found(base, offline, few_step, **choices):
    choices["loras"] = tuple((path, 1.0) for path in choices.pop("loras", ()))
    try:
        assets = locate(ModelSpec(base, **choices), few_step=few_step, offline=offline)
    except AssetError as error:
        return {"error": str(error)}
    return {
        "revision": assets.base.revision,
        "sha256": assets.sha256,
        "weights": {
            name: [path.name for path in files.weights] for name, files in assets.components.items()
        },
        "configs": str(assets.configs),
        "loras": [path.name for path, _ in assets.loras],
        "predicts": assets.facts.prediction_type,
    }
def ended(command):
    done = CliRunner().invoke(app, command)
    return done.exit_code, done.stdout, done.stderr
def run(asked):
    def forbid(event, arguments):
        if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto") and not asked["network"]:
            raise SystemExit("network")
    sys.addaudithook(forbid)
    os.environ.clear()
    os.environ.update(asked["environment"])
    with redirect_stderr(io.StringIO()) as said:
        answers = [found(**each) for each in asked.get("models", ())]
    assert said.getvalue() == ""
    answers += map(ended, asked.get("commands", ()))
    print(json.dumps(answers), flush=True)
for line in sys.stdin:
    if (child := os.fork()) == 0:
        run(json.loads(line))
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        print("[]", flush=True)
"""
"""Runs commands, and finds models, as programs of their own do, but for what those import first, which is
imported once.
"""


@cache
def _runner() -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    started = subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=pipe, stdout=pipe, text=True)
    atexit.register(started.kill)
    return started


class Ran(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


@dataclass
class Repository:
    """A folder served as a repository; `revisions` are its branches and tags, each with a folder.

    `card` is the data of its model card.
    """

    revisions: dict[str, Path]
    gated: bool = False
    card: dict[str, object] = field(default_factory=dict)

    def find(self, revision: str) -> tuple[str, Path] | None:
        """The commit and the folder of a revision, which may be a commit."""
        for name, folder in self.revisions.items():
            commit = hashlib.sha1(str(folder).encode()).hexdigest()
            if revision in (name, commit):
                return commit, folder
        return None


@dataclass
class Hub:
    """The running stand-in: what it serves, where, and what it was asked.

    `claims` are sizes that it says of files, by their names, instead of the true ones; `ranges` what parts of
    files were asked for.
    """

    endpoint: str
    home: Path
    repositories: dict[str, Repository] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    is_down: bool = False
    claims: dict[str, int] = field(default_factory=dict)
    ranges: list[str] = field(default_factory=list)

    def add(self, name: str, folder: Path, **choices: object) -> Repository:
        self.repositories[name] = Repository({"main": folder}, **choices)
        return self.repositories[name]

    def fetched(self) -> list[str]:
        """The files that were downloaded since this was last asked, without those asked about alone."""
        asked, self.requests[:] = list(self.requests), []
        return sorted(
            path.split("/resolve/")[1].split("/", 1)[1]
            for how, path in asked
            if how == "GET" and "/resolve/" in path
        )

    def environment(self, **more: str) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        settings = {"HF_ENDPOINT": self.endpoint, "HF_HOME": str(self.home), "HF_HUB_DISABLE_XET": "1"}
        return {**inherited, **settings, **more}

    def smd(self, *commands: list[str], network: bool = True, **environment: str) -> list[Ran]:
        """Run commands one after the other, in one program; without `network`, it must open no socket."""
        answers = self._answers({"commands": commands, "network": network}, **environment)
        assert len(answers) == len(commands)
        return [Ran(*each) for each in answers]

    def locate(
        self, *bases: str, offline: bool = False, few_step: bool = False, token: str = "", **choices: object
    ):
        """What a program of its own makes of references; one answer, or a list where several are given."""
        asked = [{"base": base, "offline": offline, "few_step": few_step, **choices} for base in bases]
        environment = {"HF_TOKEN": token} if token else {}
        answers = self._answers({"models": asked, "network": True}, **environment)
        assert len(answers) == len(bases)
        return answers[0] if len(bases) == 1 else answers

    def _answers(self, asked: dict[str, object], **environment: str) -> list[Any]:
        runner = _runner()
        assert runner.stdin
        assert runner.stdout
        runner.stdin.write(json.dumps({**asked, "environment": self.environment(**environment)}) + "\n")
        runner.stdin.flush()
        return json.loads(runner.stdout.readline())


class Handler(BaseHTTPRequestHandler):
    """The routes: a repository's commit, the tree of a commit, and files."""

    def do_GET(self):
        hub: Hub = self.server.hub
        path = unquote(urlsplit(self.path).path)
        hub.requests.append((self.command, path))
        if hub.is_down:
            return self.answer(status=503)
        is_api = path.startswith("/api/models/")
        parts = path.removeprefix("/api/models" if is_api else "/").removeprefix("/").split("/", 3)
        owner, name, route, rest = [
            *parts,
            *(["revision", "main"] if is_api and len(parts) == 2 else [""] * 2),
        ][:4]
        repository = hub.repositories.get(f"{owner}/{name}")
        if repository is None:
            return self.answer(status=401, X_Error_Code="RepoNotFound")
        revision, _, file = rest.partition("/") if route == "resolve" else (rest, "", "")
        found = repository.find(revision)
        if found is None:
            return self.answer(status=404, X_Error_Code="RevisionNotFound")
        commit, folder = found
        if route == "revision":
            about = {"id": f"{owner}/{name}", "sha": commit, "siblings": [], "cardData": repository.card}
            return self.document(about)
        if route == "tree":
            return self.document(
                [entry(folder, each, hub.claims) for each in sorted(folder.rglob("*")) if each.is_file()]
            )
        if repository.gated and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            status = 403 if "Authorization" in self.headers else 401
            return self.answer(status=status, X_Error_Code="GatedRepo")
        if not (folder / file).is_file():
            return self.answer(status=404, X_Error_Code="EntryNotFound")
        return self.file(folder / file, commit)

    def file(self, path, commit):
        """Send a file, or what is asked for of it."""
        hub: Hub = self.server.hub
        body, headers = path.read_bytes(), {"ETag": f'"{etag(path)}"', "X-Repo-Commit": commit}
        if asked := self.headers.get("Range"):
            hub.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").partition("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            self.answer(body[start:], 206, **headers)
        else:
            self.answer(body, **headers)

    do_HEAD = do_GET  # noqa: N815 - the base class's name

    def document(self, content):
        self.answer(json.dumps(content).encode(), Content_Type="application/json")

    def answer(self, body=b"", status=200, **headers):
        self.send_response(status)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in {"Content-Length": len(body), **named}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


def is_large(path: Path) -> bool:
    """Whether the hub keeps a file by its SHA-256, as it does those tracked by LFS."""
    return path.suffix in (".safetensors", ".bin", ".ckpt")


def etag(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha256(content).hexdigest() if is_large(path) else hashlib.sha1(content).hexdigest()


def entry(folder: Path, path: Path, claims: dict[str, int]) -> dict[str, object]:
    """A file as the tree of a commit lists it."""
    name = path.relative_to(folder).as_posix()
    size = claims.get(name, path.stat().st_size)
    listed = {"type": "file", "path": name, "size": size, "oid": "0" * 40}
    if is_large(path):
        listed["lfs"] = {"oid": etag(path), "size": size, "pointerSize": 134}
    return listed


class serve:  # noqa: N801 - used like a function
    """Run a stand-in as long as a `with` block, with its cache in `home`."""

    def __init__(self, home: Path) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.hub = Hub(f"http://127.0.0.1:{self.server.server_port}", home)

    def __enter__(self) -> Hub:
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self.server.hub

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
