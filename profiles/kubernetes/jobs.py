"""Start a job script of Snakemake as a Kubernetes Job, and ask how it is: the two commands that config.yaml names.

jobs.py submit THREADS MEMORY_MB MINUTES SCRIPT    prints the Job's name
jobs.py status NAME                                prints running, success or failed
"""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import yaml

#: Variables that carry the paths of the user's table and of readers' answers to the notebooks.
CARRIED = ("LESION_BOOK_DATA", "LESION_BOOK_READER_FILES", "PYTHONPATH")


def manifest(name, threads, memory_mb, minutes, script):
    """Return job.yaml, filled in, as a dict."""
    job = yaml.safe_load(Path(__file__).with_name("job.yaml").read_text(encoding="utf-8"))
    job["metadata"]["name"] = name
    job["spec"]["activeDeadlineSeconds"] = 60 * int(minutes)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    container["command"] = ["/bin/sh", script]
    container["env"] = [{"name": variable, "value": os.environ[variable]} for variable in CARRIED if variable in os.environ]
    memory = f"{int(memory_mb)}M"
    resources = container.setdefault("resources", {})
    resources.setdefault("requests", {}).update(cpu=str(int(threads)), memory=memory)
    resources.setdefault("limits", {}).update(memory=memory)  # a job over its memory is ended
    return job


def submit(*words):
    name = f"lesion-book-{uuid.uuid4().hex[:12]}"
    text = json.dumps(manifest(name, *words))
    subprocess.run(["kubectl", "create", "-f", "-"], input=text, text=True, check=True, stdout=sys.stderr)
    return name


def status(name):
    words = ["kubectl", "get", "job", name, "--ignore-not-found", "-o", "json"]
    found = subprocess.run(words, text=True, check=True, capture_output=True).stdout
    state = json.loads(found)["status"] if found.strip() else {"failed": 1}  # someone has deleted it
    return "success" if state.get("succeeded") else "failed" if state.get("failed") else "running"


if __name__ == "__main__":
    print({"submit": submit, "status": status}[sys.argv[1]](*sys.argv[2:]))
