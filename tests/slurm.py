"""SLURM on this machine alone, for trials: its daemons in a temporary folder, on loopback, with as many nodes as one likes.

Needs root and, on Debian: ``apt-get install slurm-wlm slurmdbd munge mariadb-server``. Nothing of an installed SLURM is touched.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import psutil

#: What is started, in this order; the clients are ``sbatch``, ``sacct`` and so on.
PROGRAMS = ("mariadbd", "munged", "slurmdbd", "slurmctld", "slurmd")
#: Seconds to wait for a daemon; and without a word from its slurmd after which a node counts as lost.
PATIENCE, NODE_TIMEOUT = 60, 15

_DATABASE = """\
AuthType=auth/munge
AuthInfo=socket={munge}
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={slurmdbd}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={mariadb}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
"""
# Memory is watched by the daemons (OverMemoryKill) and processes by their parents: so no control groups are needed.
_CLUSTER = """\
ClusterName=trial
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={slurmctld}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={munge}
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={slurmdbd}
AccountingStoragePass={munge}
AccountingStoreFlags=job_comment
MpiDefault=none
SwitchType=switch/none
SlurmdTimeout={timeout}
KillWait=5
MessageTimeout=60
ReturnToService=2
{nodes}
PartitionName=trial Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class Slurm:
    """A cluster of ``nodes`` nodes with ``cores`` processors each, as SLURM counts them; used in a ``with`` statement.

    Attributes
    ----------
    environment : dict
        With which SLURM's clients find this cluster.
    """

    def __init__(self, folder, *, nodes=2, cores=1, memory=8000):
        missing = [name for name in PROGRAMS if not shutil.which(name)]
        if missing or os.geteuid():
            raise SystemExit(f"needs root, and the programs {', '.join(PROGRAMS)}; missing: {', '.join(missing) or 'root'}")
        self.folder, self.nodes = Path(folder), [f"node{number}" for number in range(1, nodes + 1)]
        self._daemons, ports = {}, _free_ports(3 + nodes)
        host = socket.gethostname().split(".")[0]
        lines = [
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cores} RealMemory={memory} State=UNKNOWN"
            for name, port in zip(self.nodes, ports[3:], strict=True)
        ]
        values = dict(zip(("mariadb", "slurmdbd", "slurmctld"), ports[:3], strict=True))
        values |= {"folder": folder, "munge": self.folder / "munge.socket", "host": host, "timeout": NODE_TIMEOUT}
        self._port = values["mariadb"]
        for name, text in (("slurm.conf", _CLUSTER), ("slurmdbd.conf", _DATABASE)):
            (self.folder / name).write_text(text.format(**values, nodes="\n".join(lines)))
            (self.folder / name).chmod(0o600)
        (self.folder / "state").mkdir()
        self.environment = os.environ | {"SLURM_CONF": str(self.folder / "slurm.conf")}
        # Snakemake's plugin starts srun without any variable of SLURM: on a real cluster the configuration is in its usual place.
        srun = self.folder / "bin" / "srun"
        srun.parent.mkdir()
        srun.write_text(f'#!/bin/sh\nSLURM_CONF="{self.folder / "slurm.conf"}" exec "{shutil.which("srun")}" "$@"\n')
        srun.chmod(0o755)
        self.environment["PATH"] = f"{srun.parent}{os.pathsep}{os.environ['PATH']}"

    def __enter__(self):
        try:
            self._start_database()
            key, where = self.folder / "munge.key", f"--socket={self.folder / 'munge.socket'}"
            key.write_bytes(os.urandom(128))
            key.chmod(0o400)
            names = {f"--{name}-file={self.folder / f'munge.{name}'}" for name in ("pid", "log", "seed")}
            self._start("munged", "--foreground", "--force", f"--key-file={key}", where, *sorted(names))
            self._start("slurmdbd", "-D")
            self._wait("the accounting", "sacctmgr", "-n", "show", "cluster")
            self.run("sacctmgr", "-i", "add", "cluster", "trial", check=False)
            self._start("slurmctld", "-D")
            for node in self.nodes:
                self.start_node(node)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            self.run("scancel", "--user=root", check=False, timeout=20)
        for node in self.nodes:
            self.lose_node(node)
        for daemon in reversed(self._daemons.values()):
            daemon.terminate()
        for daemon in self._daemons.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(20)
            daemon.kill()

    def run(self, *words, check=True, timeout=60):
        """Return what a client prints."""
        done = subprocess.run(words, env=self.environment, text=True, capture_output=True, timeout=timeout, check=False)
        if check and done.returncode:
            raise SystemExit(f"{' '.join(words)}: {done.stderr}")
        return done.stdout

    def jobs(self, state=""):
        """Return ``(id, state, node, comment)`` of every job that the accounting knows, or of those in one state."""
        lines = self.run("sacct", "-n", "-P", "-X", "-a", "-S", "now-2days", "-o", "JobID,State,NodeList,Comment").splitlines()
        rows = [line.split("|", 3) for line in lines]
        return [(number, words.split()[0], node, comment) for number, words, node, comment in rows if words.startswith(state)]

    def start_node(self, node):
        """Start a node's slurmd; return when the controller may send it jobs."""
        self._start(f"slurmd-{node}", "-D", "-N", node)
        self._wait(node, "sinfo", "-h", "-n", node, "-t", "idle,mix,alloc", "-o", "%N", says=node)

    def lose_node(self, node):
        """Kill a node's slurmd and all that runs on it at once, as where a machine loses its power."""
        daemon = self._daemons.pop(f"slurmd-{node}", None)
        if daemon:
            daemon.kill()
        for process in processes_of(node, self.folder):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if daemon:
            daemon.wait()

    def _start(self, name, *options):
        log = open(self.folder / f"{name}.out", "ab")  # noqa: SIM115  (the daemon's own)
        command = [shutil.which(name.split("-")[0]), *options]
        self._daemons[name] = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, cwd=self.folder)
        log.close()

    def _start_database(self):
        data, first = self.folder / "mariadb", self.folder / "first.sql"
        install = ["mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={data}", "--skip-test-db"]
        subprocess.run(install, check=True, capture_output=True)
        user = "slurm@127.0.0.1"
        first.write_text(f"CREATE USER {user} IDENTIFIED BY 'slurm';\nGRANT ALL ON *.* TO {user};\n")  # a statement a line
        options = ["--no-defaults", "--user=root", f"--datadir={data}", f"--socket={self.folder / 'mariadb.socket'}"]
        options += [f"--port={self._port}", "--bind-address=127.0.0.1", f"--init-file={first}", "--skip-name-resolve"]
        self._start("mariadbd", *options, f"--pid-file={self.folder / 'mariadb.pid'}")
        _wait_for("the database", lambda: _listens(self._port))

    def _wait(self, what, *words, says=""):
        def ready():
            done = subprocess.run(words, env=self.environment, text=True, capture_output=True, check=False)
            return done.returncode == 0 and says in done.stdout

        _wait_for(what, ready)


def _wait_for(what, ready):
    end = time.monotonic() + PATIENCE
    while not ready():
        if time.monotonic() > end:
            raise SystemExit(f"{what} did not come up in {PATIENCE} s")
        time.sleep(0.5)


def _listens(port):
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def _free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def processes_of(node, folder):
    """Return the processes of a node's jobs: those that were started with its name, and their keepers (slurmstepd)."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            own = process.environ()
            if own.get("SLURM_CONF") == str(folder / "slurm.conf") and own.get("SLURMD_NODENAME") == node:
                found += [process, *(parent for parent in process.parents() if parent.name().startswith("slurmstepd"))]
    return found
