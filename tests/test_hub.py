import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hub_calls import body_requests, fails, plan
from hub_fixtures import READER_TOKEN, STRANGER_TOKEN

from mistudio_widgets.errors import (
    ConfigNotFoundError,
    GatedRepoError,
    HubAuthError,
    HubError,
    HubRateLimitedError,
    HubUnavailableError,
    RepoNotFoundError,
    RevisionNotFoundError,
    SplitNotFoundError,
    UnsupportedRepoError,
)
from mistudio_widgets.hub import Hub
from mistudio_widgets.hub._client import RepoClient
from mistudio_widgets.hub._faults import Repo, answer_error, retry_after_s
from mistudio_widgets.hub._names import check_token

ROOT = Path(__file__).parent.parent


# --- plans


def test_a_plan_lists_files_sizes_and_rows_without_fetching_data(client, hub):
    found = plan(client, "acme/stories", config="en")
    p = found.plan
    assert p.configs == {"en": ("train", "test"), "fr": ("train",)}
    assert (p.config, p.splits) == ("en", ("train", "test"))
    assert p.files == (
        "en/train-00000-of-00003.parquet",
        "en/train-00001-of-00003.parquet",
        "en/train-00002-of-00003.parquet",
        "en/test-00000-of-00001.parquet",
    )
    assert p.num_samples == 35
    assert p.commit == hub.repo("dataset", "acme/stories").refs["main"]
    assert p.download_bytes == p.disk_bytes == sum(f.size_bytes for f in found.files)
    assert not p.gated
    assert [f.split for f in found.files] == ["train"] * 3 + ["test"]
    assert {f.format for f in found.files} == {"parquet"}
    assert all(f.sha256 and not f.git_sha1 for f in found.files)
    assert all(path.endswith("README.md") for path in body_requests(hub))


def test_the_description_is_the_card_as_plain_text(client):
    text = plan(client, "acme/stories", config="fr").plan.description
    assert text == (
        "Stories\n\n Short stories, see the paper.\n\nsplit  rows\ntrain  30\n\nBy & for people."
    )


def test_only_the_asked_splits_are_planned(client):
    found = plan(client, "acme/stories", config="en", splits=("test",))
    assert found.plan.files == ("en/test-00000-of-00001.parquet",)
    assert found.plan.splits == ("test",)
    assert found.plan.num_samples == 5


def test_rows_that_the_card_does_not_tell_are_unknown(client):
    assert plan(client, "acme/stories", config="fr").plan.num_samples is None


def test_whether_it_fits_counts_the_reserve(client):
    need = plan(client, "acme/stories", config="fr").plan.disk_bytes
    assert plan(client, "acme/stories", config="fr", free_bytes=2**31 + need).plan.fits
    short = plan(client, "acme/stories", config="fr", free_bytes=2**31 + need - 1).plan
    assert not short.fits
    assert short.free_bytes == 2**31 + need - 1


@pytest.mark.parametrize(
    ("repo_id", "files", "kind"),
    [
        ("plain", ("data.csv",), "csv"),
        ("acme/v1.5.dots", ("data/train.jsonl.gz",), "json"),
        ("acme/notes", ("train.txt", "test.txt"), "text"),
        ("acme/zst", ("train.jsonl.zst",), "json"),
        ("acme/archives", ("train-0.tar",), "webdataset"),
        (
            "acme/nested",
            (
                "data/train/2024/01/part.csv",
                "data/train/2024/02/part.csv",
                "data/test/part.csv",
            ),
            "csv",
        ),
    ],
)
def test_other_formats_need_room_for_their_conversion(client, repo_id, files, kind):
    found = plan(client, repo_id)
    assert found.plan.files == files
    assert {f.format for f in found.files} == {kind}
    assert found.plan.disk_bytes > found.plan.download_bytes


def test_small_files_are_known_by_their_git_hash(client):
    (file,) = plan(client, "plain").files
    assert file.sha256 is None
    content = b"id,text\n1,one\n2,two\n"
    assert file.git_sha1 == hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def test_a_tree_of_many_pages_is_read_to_its_end(client):
    assert len(plan(client, "acme/many-files").plan.files) == 40


def test_what_a_commit_holds_is_asked_once(client, hub):
    first = plan(client, "acme/stories", config="en")
    hub.reset()
    again = plan(client, "acme/stories", config="en")
    assert again == first
    assert [r.path for r in hub.requests] == ["/api/datasets/acme/stories"]


def test_a_new_commit_is_seen_at_once(client, hub):
    repo = hub.add("dataset", "acme/moving", {"train.txt": b"1\n"})
    before = plan(client, "acme/moving").plan
    repo.commit({"train.txt": b"1\n2\n"})
    after = plan(client, "acme/moving").plan
    assert before.commit != after.commit
    assert (before.download_bytes, after.download_bytes) == (2, 4)
    old = plan(client, "acme/moving", revision=before.commit).plan
    assert (old.commit, old.download_bytes) == (before.commit, 2)


def test_a_tag_is_resolved_to_its_commit(client, hub):
    found = plan(client, "acme/stories", config="fr", revision="v1")
    assert found.plan.commit == hub.repo("dataset", "acme/stories").refs["v1"]


def test_the_hubs_parquet_conversion_can_be_asked_for(client):
    found = plan(client, "acme/script", revision="refs/convert/parquet")
    assert found.plan.configs == {"default": ("partial_test", "train"), "other": ("train",)}
    assert found.plan.config == "default"
    assert (
        len(plan(client, "acme/script", revision="refs/convert/parquet", config="other").files) == 1
    )


def test_plans_may_be_made_from_many_threads(client):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: plan(client, "acme/stories", config="en"), range(16)))
    assert len({p.plan.model_dump_json() for p in found}) == 1


# --- what cannot be planned


def test_a_missing_repository_says_that_it_may_be_private(client):
    text = fails(client, RepoNotFoundError, "acme/nothing")
    assert "acme/nothing" in text
    assert "private" in text


def test_a_private_repository_opens_only_for_its_readers(client):
    fails(client, RepoNotFoundError, "acme/private")
    fails(client, RepoNotFoundError, "acme/private", hf_token=STRANGER_TOKEN)
    assert plan(client, "acme/private", hf_token=READER_TOKEN).plan.files == ("train.txt",)


def test_a_kept_plan_does_not_open_a_private_repository(client):
    plan(client, "acme/private", hf_token=READER_TOKEN)
    fails(client, RepoNotFoundError, "acme/private", hf_token=STRANGER_TOKEN)


def test_a_gated_repository_names_the_page_that_gives_access(client, hub):
    page = f"{hub.url}/datasets/acme/gated"
    assert page in fails(client, GatedRepoError, "acme/gated")
    without = fails(client, GatedRepoError, "acme/gated", hf_token=STRANGER_TOKEN)
    assert page in without
    assert "no access" in without
    assert plan(client, "acme/gated", hf_token=READER_TOKEN).plan.gated


def test_a_bad_token_is_named_but_never_quoted(client):
    text = fails(client, HubAuthError, "acme/stories", hf_token="hf_madeUpToken42")
    assert "madeUp" not in text
    assert "not valid" in text


@pytest.mark.parametrize("token", ["hf_one hf_two", "hf_a\nb", "hf_ü"])
def test_a_token_that_no_header_can_carry_is_never_quoted(client, token):
    text = fails(client, HubAuthError, "acme/stories", hf_token=token)
    assert "hf_" not in text


def test_a_blank_token_means_the_login():
    assert check_token("  ", "a/b") is None
    assert check_token(" hf_x\n", "a/b") == "hf_x"
    assert check_token(False, "a/b") is False


def test_a_demanded_login_that_is_not_there_says_how_to_get_one(client):
    assert "hf auth login" in fails(client, HubAuthError, "acme/stories", hf_token=True)


def test_a_missing_revision_is_named(client):
    text = fails(client, RevisionNotFoundError, "acme/stories", config="en", revision="v9/x y")
    assert "'v9/x y'" in text


@pytest.mark.parametrize("asked", [{}, {"config": "de"}, {"config": "EN"}])
def test_a_missing_config_lists_those_there_are(client, asked):
    with pytest.raises(ConfigNotFoundError, match="en, fr") as caught:
        plan(client, "acme/stories", **asked)
    assert caught.value.choices == ("en", "fr")


def test_a_missing_split_lists_those_there_are(client):
    with pytest.raises(SplitNotFoundError, match="train, test") as caught:
        plan(client, "acme/stories", config="en", splits=("dev",))
    assert caught.value.choices == ("train", "test")


def test_a_script_is_never_run_and_its_conversion_offered(client):
    text = fails(client, UnsupportedRepoError, "acme/script")
    assert "script.py" in text
    assert "refs/convert/parquet" in text
    assert "convert" not in fails(client, UnsupportedRepoError, "acme/lonely-script")


@pytest.mark.parametrize(
    ("repo_id", "said"),
    [
        ("acme/empty", "no data files"),
        ("acme/empty", "webdataset (.tar)"),
        ("acme/pictures", "is a .png file"),
        ("acme/pictures", "webdataset (.tar)"),
        ("acme/zipped", "zip archives"),
        ("acme/escape", "evil.txt"),
        ("acme/case", "differ only by case"),
        ("acme/huge", "60 GB"),
        ("acme/disabled", "disabled"),
        ("acme/outside", "outside the repository"),
        ("acme/absolute", "outside the repository"),
        ("acme/elsewhere", "outside the repository"),
    ],
)
def test_what_holds_no_text_that_can_be_fetched_says_why(client, repo_id, said):
    assert said in fails(client, UnsupportedRepoError, repo_id)


@pytest.mark.parametrize(
    "card",
    [
        b"---\nconfigs: 7\n---\n",
        b"---\nconfigs:\n- config_name: a\n  data_files: none/*.csv\n---\n",
        b"---\nconfigs:\n- 3\n---\n",
        b"---\n: [\n---\n",
        b"---\nconfigs:\n- config_name: a\n  data_files:\n  - split: a-b\n    path: x\n---\n",
    ],
)
def test_a_card_that_makes_no_sense_is_the_cards_fault(client, hub, card):
    hub.add("dataset", "acme/broken-card", {"README.md": card, "train.txt": b"x\n"})
    text = fails(client, UnsupportedRepoError, "acme/broken-card")
    assert "acme/broken-card" in text
    assert "mistudio-layout" not in text


def test_a_yaml_beside_the_card_may_name_configs_too(client, hub):
    inside = b"configs:\n- config_name: mine\n  data_files: a/*.txt\n"
    files = {".huggingface.yaml": inside, "a/1.txt": b"x\n", "b/2.txt": b"y\n"}
    hub.add("dataset", "acme/yaml", files)
    assert plan(client, "acme/yaml").plan.configs == {"mine": ("train",)}
    hub.add("dataset", "acme/yaml", {**files, ".huggingface.yaml": inside.replace(b"a/", b"../")})
    fails(client, UnsupportedRepoError, "acme/yaml")


def test_a_page_that_is_no_hub_says_so(client, hub):
    hub.add_fault("acme/stories", status=200)
    text = fails(client, HubError, "acme/stories", config="en")
    assert "hub_endpoint" in text


def test_too_many_requests_tell_until_when(client, hub):
    hub.add_fault("acme/stories", status=429, headers={"Retry-After": "120"})
    text = fails(client, HubRateLimitedError, "acme/stories", config="en")
    assert "120 s" in text
    assert "UTC" in text


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"RateLimit": '"api";r=0;t=55', "Retry-After": "9"}, 55),
        ({"RateLimit": '"api";r=7;t=55', "Retry-After": "9"}, 9),
        ({"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
)
def test_every_form_of_wait_is_understood(headers, seconds):
    assert retry_after_s(headers) == seconds
    error = answer_error(429, headers, Repo("http://x", "dataset", "a/b"))
    assert isinstance(error, HubRateLimitedError)


@pytest.mark.parametrize(("status", "kind"), [(403, HubAuthError), (418, HubError)])
def test_other_refusals_are_hub_errors_with_a_hint(status, kind):
    error = answer_error(status, {}, Repo("http://u:p@x/", "dataset", "a/b"))
    assert type(error) is kind
    assert error.hint
    assert "u:p" not in str(error)


def test_a_hub_that_fails_twice_is_asked_again(client, hub):
    hub.add_fault("acme/stories", status=503, times=2)
    hub.add_fault("README.md", status=502, times=1)
    assert plan(client, "acme/stories", config="en").plan.files


def test_a_hub_that_keeps_failing_is_unavailable(client, hub):
    hub.add_fault("acme/stories", status=503, times=9)
    assert "503" in fails(client, HubUnavailableError, "acme/stories", config="en")


def test_a_hub_that_never_answers_is_unavailable_in_time(hub):
    gate = threading.Event()
    hub.add_fault("acme/stories", gate=gate)
    patient = Hub(hub.url, timeout_s=0.3)
    text = fails(patient, HubUnavailableError, "acme/stories", config="en")
    assert "Cannot reach the hub" in text
    gate.set()


def test_no_connection_is_one_short_try():
    nowhere = RepoClient(Repo("http://127.0.0.1:9", "dataset", "acme/stories"), False)
    with pytest.raises(HubUnavailableError, match="Cannot reach the hub") as caught:
        nowhere.info()
    assert "import local files" in str(caught.value)


def test_a_plan_of_many_files_draws_no_bar_and_leaves_the_users_setting(client, capfd):
    from datasets import are_progress_bars_disabled

    assert not are_progress_bars_disabled()
    assert len(plan(client, "acme/many-files").files) == 40
    assert not are_progress_bars_disabled()
    assert capfd.readouterr().err == ""


def test_an_answer_without_a_commit_is_no_hubs(client, hub):
    hub.add_fault("acme/notes", status=200)
    assert "login page" in fails(client, HubError, "acme/notes")
