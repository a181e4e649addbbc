import os
import subprocess
import sys
from pathlib import Path

from hub_calls import plan
from hub_fixtures import READER_TOKEN

from mistudio_widgets.hub._client import RepoClient
from mistudio_widgets.hub._faults import Repo

ROOT = Path(__file__).parent.parent


def run_python(code: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **env},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_the_real_datasets_library_reads_the_server_and_finds_the_same_files(client, hub):
    told = run_python(
        "import datasets\n"
        "d = datasets.load_dataset('acme/stories', 'en')\n"
        "print({k: v.num_rows for k, v in d.items()}, d['train'][29]['text'])"
    )
    assert told == "{'train': 30, 'test': 5} tale number 8 ünïcode"
    hub.reset()
    for repo_id, config in (("acme/stories", "en"), ("acme/notes", None), ("acme/odd-names", None)):
        theirs = run_python(
            "import datasets, os\n"
            "from huggingface_hub import HfFileSystem\n"
            f"b = datasets.load_dataset_builder({repo_id!r}, {config!r})\n"
            "fs = HfFileSystem()\n"
            "print({str(s): [fs.resolve_path(u).path_in_repo for u in us]"
            " for s, us in b.config.data_files.items()})"
        )
        found = plan(client, repo_id, config=config)
        ours = {s: [f.path for f in found.files if f.split == s] for s in found.plan.splits}
        assert theirs == str(ours)


def test_the_real_transformers_library_reads_the_server(hub):
    told = run_python(
        "from transformers import AutoTokenizer\n"
        "t = AutoTokenizer.from_pretrained('acme/tiny-bpe')\n"
        "print(t.decode(t('tale number 7')['input_ids']))"
    )
    assert told == "tale number 7"


def test_importing_and_making_a_hub_loads_no_library():
    told = run_python(
        "import sys, os\n"
        "os.environ.pop('HF_ENDPOINT')\n"
        "from mistudio_widgets.hub import Hub\n"
        "Hub('https://hub.example.org/')\n"
        "print(os.environ['HF_ENDPOINT'], 'huggingface_hub' in sys.modules,"
        " 'datasets' in sys.modules)"
    )
    assert told == "https://hub.example.org False False"


def test_forbidden_requests_are_said_to_be_forbidden(tmp_path):
    told = run_python(
        "import os\n"
        "os.environ['HF_HUB_OFFLINE'] = '1'\n"
        "from mistudio_widgets.hub import Hub\n"
        "from mistudio_widgets.records import DownloadRequest\n"
        "try:\n"
        "    request = DownloadRequest(repo_id='a/b')\n"
        "    Hub().plan(request, hf_token=None, free_bytes=0, reserve_bytes=0)\n"
        "except Exception as error:\n"
        "    print(error.code, error.message)"
    )
    assert told.startswith("hub_unavailable")
    assert "HF_HUB_OFFLINE" in told


def test_no_module_asks_to_run_code_of_a_repository():
    for path in (ROOT / "mistudio_widgets" / "hub").glob("*.py"):
        assert "trust_" + "remote_code" not in path.read_text(encoding="utf-8")


def test_nothing_of_a_plan_shows_the_token(client):
    repo = Repo("http://127.0.0.1:9", "dataset", "a/b")
    assert READER_TOKEN not in repr(RepoClient(repo, READER_TOKEN))
    found = plan(client, "acme/private", hf_token=READER_TOKEN)
    assert READER_TOKEN not in repr(found)
    assert READER_TOKEN not in repr(vars(client))
    assert os.environ["HF_ENDPOINT"]


def test_the_login_of_the_user_is_used_by_default_and_never_when_forbidden(hub, tmp_path):
    (tmp_path / "token").write_text(READER_TOKEN)
    told = run_python(
        "from mistudio_widgets.hub import Hub\n"
        "from mistudio_widgets.records import DownloadRequest\n"
        "request = DownloadRequest(repo_id='acme/private')\n"
        "disk = {'free_bytes': 0, 'reserve_bytes': 0}\n"
        "files = [Hub().plan(request, hf_token=t, **disk).plan.files for t in (None, True)]\n"
        "try:\n"
        "    Hub().plan(request, hf_token=False, **disk)\n"
        "except Exception as error:\n"
        "    print(files, error.code)",
        HF_HOME=str(tmp_path),
        HF_HUB_DISABLE_IMPLICIT_TOKEN="0",
    )
    assert told == "[('train.txt',), ('train.txt',)] repo_not_found"
