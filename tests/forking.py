"""Starts `datacomp` commands in forks of a process that has loaded the heavy libraries: a start takes no seconds of importing.

Run as a program it obeys lines of JSON: a command's arguments and the file for what it says start a process group, whose id is answered; null waits
for its end and answers the exit code, negative for a signal.
"""

import gc
import json
import os
import subprocess
import sys


class Forks:
    """Starts commands as `faults.start` does, one at a time."""

    def __init__(self, said):
        self._said = said
        self._server = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._server.stdout.readline()  # all is loaded

    def start(self, arguments):
        """Start a command in a process group of its own."""
        return Fork(self._ask([[*map(str, arguments)], str(self._said)]), self._ask, self._said)

    def _ask(self, line):
        self._server.stdin.write(json.dumps(line) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *about):
        self._server.stdin.close()
        self._server.wait()
        self._server.stdout.close()


class Fork:
    """A started command, with what is used of subprocess.Popen."""

    def __init__(self, pid, ask, said):
        self.pid, self.returncode, self._ask, self._said = pid, None, ask, said

    def communicate(self):
        """Wait for the end; what it said on both of its streams, and nothing."""
        self.returncode = self._ask(None)
        return self._said.read_text(errors="replace"), ""


def _become(arguments, said):
    """Be the command, in this fork."""
    from datacomp import cli

    file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.argv = ["datacomp", *arguments]
    try:
        cli.main()
    except SystemExit as end:
        _end(end.code or 0)


def _serve():
    import tensorboardX  # noqa: F401 - imported where it is used
    import torch

    from datacomp.train import run  # noqa: F401 - and with it everything else that takes long to load

    torch.set_num_threads(1)  # a pool of threads would not come with a fork
    gc.freeze()  # collecting garbage would copy all that a fork shares
    pid = 0
    _answer(None)
    for line in iter(sys.stdin.readline, ""):
        if (command := json.loads(line)) is None:
            answer = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        elif answer := os.fork():
            pid = answer
            os.setpgid(pid, pid)  # before anybody is told of it
        else:
            _become(*command)
        _answer(answer)
    _end(0)


def _answer(value):
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def _end(code):
    """End at once: clearing the libraries away would take as long as the command."""
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    _serve()
