"""A Slurm cluster of this machine alone, on loopback, for as long as a command takes.

`python tests/slurm.py COMMAND...` runs a command with it. It takes root, and Debian's packages slurm-wlm and munge.
"""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

CONFIGURATION = """\
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={daemon}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=root
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
KillWait=10
MpiDefault=none
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=16000
PartitionName=lab Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str | None:
    """Say what a cluster lacks on this machine, if anything."""
    if os.geteuid() != 0:
        return "not root"
    lacking = [program for program in ("munged", "slurmctld", "slurmd", "srun") if shutil.which(program) is None]
    return f"not installed: {', '.join(lacking)} (packages slurm-wlm and munge)" if lacking else None


@contextmanager
def cluster() -> Iterator[dict[str, str]]:
    """Start munged, slurmctld and slurmd, and stop them at the end; give the environment of the cluster's commands."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slurm-", ignore_cleanup_errors=True)))
        environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        (folder / "munge.key").touch(mode=0o600)
        (folder / "munge.key").write_bytes(secrets.token_bytes(128))
        host = socket.gethostname().split(".")[0]
        controller, daemon = free_ports()
        text = CONFIGURATION.format(folder=folder, host=host, controller=controller, daemon=daemon)
        (folder / "slurm.conf").write_text(text, encoding="utf-8")
        (folder / "state").mkdir()
        (folder / "spool").mkdir()

        def start(*command: str) -> None:
            log = stack.enter_context((folder / f"{command[0]}.log").open("w", encoding="utf-8"))
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            stack.callback(process.wait, timeout=30)
            stack.callback(process.terminate)

        files = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munge.pid", "seed-file": "munge.seed"}
        start("munged", "--foreground", "--force", *(f"--{option}={folder / name}" for option, name in files.items()))
        start("slurmctld", "-D")
        start("slurmd", "-D")
        try:
            _wait_for("idle", ["sinfo", "--noheader", "--format=%T"], environment)
        except TimeoutError as error:
            raise TimeoutError(
                "\n".join([str(error), *(path.read_text(encoding="utf-8") for path in folder.glob("*.log"))])
            ) from None
        stack.callback(_end_jobs, environment)
        yield environment


def _end_jobs(environment: dict[str, str]) -> None:
    subprocess.run(["scancel", "--user=root"], env=environment, check=True)
    _wait_for("", ["squeue", "--noheader"], environment)


def _wait_for(output: str, command: list[str], environment: dict[str, str]) -> None:
    deadline = time.monotonic() + 60
    while True:
        process = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8")
        if process.returncode == 0 and process.stdout.strip() == output:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{' '.join(command)}: {process.stdout}{process.stderr}")
        time.sleep(0.2)


def free_ports() -> tuple[int, int]:
    """Find two ports of loopback that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        return first.getsockname()[1], second.getsockname()[1]


if __name__ == "__main__":
    if problem := missing():
        sys.exit(problem)
    with cluster() as environment:
        sys.exit(subprocess.run(sys.argv[1:], env=environment).returncode)
