"""The hub: what is fetched, what is said when it is not there, and when it is not asked at all."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from smd_cli.errors import AssetError
from smd_cli.models.assets import ModelSpec, locate

COMMIT = "0123456789abcdef0123456789abcdef01234567"

NO_NETWORK = """
import sys
def forbid(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        print("network:", event, arguments, file=sys.stderr)
        sys.exit("network")
sys.addaudithook(forbid)
"""


class Handler(BaseHTTPRequestHandler):
    """As much of the hub's protocol as a download needs."""

    def answer(self, body=b"", status=200, **headers):
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        hub = self.server.hub
        path = self.path.split("?")[0]
        hub.asked.append(path)
        for name, (status, code) in hub.failing.items():
            if name in path:
                return self.answer(b"{}", status, X_Error_Code=code, X_Error_Message=code)
        if path.startswith("/api/models/owner/model/tree/"):
            listing = [
                {
                    "type": "file",
                    "path": str(file.relative_to(hub.root)),
                    "size": file.stat().st_size,
                    "oid": "0" * 40,
                }
                for file in hub.root.rglob("*")
                if file.is_file()
            ]
            return self.answer(json.dumps(listing).encode(), Content_Type="application/json")
        if path.startswith("/api/models/owner/model"):
            info = {"id": "owner/model", "sha": COMMIT, "siblings": []}
            return self.answer(json.dumps(info).encode(), Content_Type="application/json")
        name = path.split(f"/resolve/{COMMIT}/")[-1]
        if not (hub.root / name).is_file():
            return self.answer(status=404)
        return self.answer((hub.root / name).read_bytes(), ETag=f'"{hash(name)}"', X_Repo_Commit=COMMIT)

    do_HEAD = do_GET  # noqa: N815 - the base class's name

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(copy, tmp_path, monkeypatch):
    """A hub with the small model under owner/model, and an empty cache."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.hub = SimpleNamespace(root=copy, asked=[], failing={})
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
        endpoint + "/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    yield server.hub
    server.shutdown()
    server.server_close()


def test_a_download_takes_what_is_needed_and_then_needs_no_hub(hub, folder):
    (hub.root / "unet/diffusion_pytorch_model.non_ema.safetensors").write_bytes(b"large")
    (hub.root / "v1-5-pruned.ckpt").write_bytes(b"large")
    assets = locate(ModelSpec("owner/model"))
    assert assets.base.revision == COMMIT
    assert assets.sha256 == locate(ModelSpec(str(folder))).sha256
    assert not any("non_ema" in path or "ckpt" in path for path in hub.asked)
    hub.asked.clear()
    assert locate(ModelSpec("owner/model"), offline=True) == assets
    assert hub.asked == []


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (404, "RepoNotFound", "neither a folder here nor a model on Hugging Face"),
        (403, "GatedRepo", "gated on Hugging Face; accept its terms there and set HF_TOKEN"),
        (404, "RevisionNotFound", "no such revision"),
        (500, "", "hub cannot be reached"),
    ],
)
def test_what_the_hub_refuses(status, code, words, hub):
    hub.failing["/api/models"] = (status, code)
    with pytest.raises(AssetError, match=words) as caught:
        locate(ModelSpec("owner/model@v9"))
    assert "\n" not in str(caught.value)


def test_an_unreachable_hub(hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(AssetError, match="hub cannot be reached"):
        locate(ModelSpec("owner/model"))


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", NO_NETWORK + code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


def test_local_models_load_without_any_network(folder, single_file, tmp_path):
    code = f"""
import torch
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.loading import load
specs = [ModelSpec({str(folder)!r}), ModelSpec({str(single_file)!r}, config={str(folder)!r})]
for spec in [ModelSpec("flatland"), *specs]:
    backbone = load(locate(spec), torch.device("cpu"), torch.float32)
    print(backbone.encode_prompts(["a"]).embeds.shape)
"""
    done = run(code, HF_HOME=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("torch.Size([1, 77, 32])") == 2
    assert done.stdout.count("torch.Size([1, 77, 128])") == 1


@pytest.mark.parametrize("how", ["offline=True", ""])
def test_offline_asks_nobody(how, tmp_path):
    code = f"""
from smd_cli.errors import AssetError
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.sources import go_offline
{"" if how else "go_offline()"}
try:
    locate(ModelSpec("owner/model"), {how})
except AssetError as error:
    print(error)
"""
    done = run(code, HF_HOME=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert "owner/model: neither a folder here nor whole in the Hugging Face cache" in done.stdout
    assert str(tmp_path) in done.stdout
