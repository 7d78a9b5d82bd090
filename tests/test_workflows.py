"""The forge's files: valid YAML, commands that the Makefile has, forms that ask what is needed, nothing of one machine."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def load(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(path):
    return [step for job in load(path)["jobs"].values() for step in job["steps"]]


def make_commands(path):
    """Return target and variables of each call of make."""
    lines = [line for step in steps(path) for line in step.get("run", "").splitlines() if line.startswith("make ")]
    words = [line.split(" 2>&1")[0].split()[1:] for line in lines]
    return [(own[0], dict(word.split("=", 1) for word in own[1:])) for own in words]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_is_whole_and_calls_what_the_makefile_has(path):
    workflow = load(path)
    assert workflow["name"] == path.stem and workflow[True], "on: is read as true by YAML 1.1"
    assert workflow["permissions"] == {"contents": "read"}
    assert all(job["runs-on"] and job["timeout-minutes"] for job in workflow["jobs"].values())
    for step in steps(path):
        assert ("uses" in step) != ("run" in step)
        assert re.fullmatch(r"actions/[\w-]+@v\d+", step.get("uses", "actions/none@v1")), "only the forge's own actions"
    for target, variables in make_commands(path):
        assert re.search(rf"^{target}:.*## ", MAKEFILE, re.M), f"make has no {target}"
        assert {name for name in variables if not re.search(rf"^{name} \?=|\$\${name}\b|\{{{name}:\+", MAKEFILE, re.M)} == set()


def test_pages_renders_without_training_and_deploys_what_the_makefile_says():
    (path,) = [path for path in WORKFLOWS if path.stem == "pages"]
    assert [target for target, _ in make_commands(path)] == ["published"]
    (upload,) = [step for step in steps(path) if "upload-pages-artifact" in step.get("uses", "")]
    assert upload["with"]["path"] == "runs/published/html" and f"{upload['with']['path']}/index.html" in MAKEFILE
    deploy = load(path)["jobs"]["deploy"]
    assert deploy["needs"] == "render" and deploy["permissions"] == {"pages": "write", "id-token": "write"}


def test_weekly_takes_the_newest_releases_keeps_the_log_and_tries_links():
    (path,) = [path for path in WORKFLOWS if path.stem == "weekly"]
    commands = dict(make_commands(path))
    assert commands["book"] == {"PROFILE": "smoke", "NAME": "newest", "CONSTRAINTS": "", "PYTHON": "python"}
    assert "links" in commands
    assert "schedule" in load(path)[True]
    kept = " ".join(step["with"]["path"] for step in steps(path) if "upload-artifact" in step.get("uses", ""))
    assert {"newest.log", "newest-versions.txt", "links.log"} <= set(kept.split())
    assert all(job["defaults"]["run"]["shell"] == "bash" for job in load(path)["jobs"].values()), "a pipe would hide a failure"
    assert all("cache" not in step.get("with", {}) for step in load(path)["jobs"]["newest"]["steps"])


def test_constraints_can_be_left_out():
    assert re.search(r"^CONSTRAINTS \?= constraints.txt$", MAKEFILE, re.M)
    assert "$(if $(CONSTRAINTS),-c '$(CONSTRAINTS)')" in MAKEFILE


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_form_asks_for_chapter_cell_profile_and_hardware(path):
    form = load(path)
    assert form["name"] and form["description"]
    fields = {field["id"]: field for field in form["body"] if field["type"] != "markdown"}
    assert {"chapter", "cell", "profile", "hardware", "what"} <= set(fields)
    assert fields["chapter"]["validations"]["required"] and fields["what"]["validations"]["required"]
    assert {"smoke", "quick", "standard", "paper"} <= set(fields["profile"]["attributes"]["options"])


def test_there_are_forms_and_a_checklist():
    assert len(FORMS) == 2
    checklist = (ROOT / ".github" / "pull_request_template.md").read_text(encoding="utf-8")
    assert checklist.count("- [ ] ") >= 5 and "make test" in checklist


def test_no_file_of_the_forge_names_a_machine():
    files = [path for folder in (".github", ".devcontainer") for path in (ROOT / folder).rglob("*") if path.is_file()]
    assert len(files) >= 7
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(?<![\w.:/])/(?:home|root|work|mnt|opt|Users)/", text), path.name
