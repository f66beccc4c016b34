#!/usr/bin/env python3
"""Holds a turn of an agent while something works with it, and nobody else does. Python 3, standard library only.

    from turn import Turn

    with Turn("reviewer", session="ticket-12", holder="nightly") as turn:
        for step in steps:
            turn.check()            # raises if the work has to stop
            work(step)

Entering waits until the session is free. A thread gives the heartbeats and hears when somebody asks for a stop. Leaving
ends the turn: as `ok`; as `failed` after an exception or `turn.fail(…)`; after `Cancelled` it tells switchman that the
work has stopped, so that the next one may begin.

    turn.py AGENT SESSION COMMAND [ARGUMENT...]

runs a command as one turn and exits as it did. Where the turn has to stop, the command gets SIGTERM. Exits with 3 if the
turn could not begin or was cut off.

The daemon is looked for at SWITCHMAN_SOCKET, else at /run/switchman/switchman.sock.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from urllib.parse import quote

SOCKET = os.environ.get("SWITCHMAN_SOCKET", "/run/switchman/switchman.sock")


class Refused(Exception):
    """switchman said no: `problem` is its answer, `problem["code"]` the name of the reason."""

    def __init__(self, problem):
        super().__init__(problem.get("detail", "refused"))
        self.problem = problem


class Cancelled(Exception):
    """Somebody asked for the turn to stop."""


class CutOff(Exception):
    """The turn is not ours any more: its work was ended under us."""


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("switchman", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def post(path, body=None, token=None, timeout=60, socket_path=SOCKET):
    """One request; its answer, or Refused."""
    connection = UnixConnection(socket_path, timeout)
    headers = {"Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Lease {token}"
    try:
        connection.request("POST", path, json.dumps(body or {}), headers)
        response = connection.getresponse()
        answer = json.loads(response.read() or "{}")
    finally:
        connection.close()
    if response.status >= 400:
        raise Refused(answer)
    return answer


def post_patiently(path, body=None, **options):
    """The same through a restart of the daemon: it knows our turn, our token and our key when it is back."""
    for seconds in [0.1, 0.2, 0.5] + [1] * 28:
        try:
            return post(path, body, **options)
        except (OSError, http.client.HTTPException):
            time.sleep(seconds)
        except Refused as refused:
            # A store that is busy, for example.
            if refused.problem.get("code") not in ("store_unavailable", "busy", "stopping", "too_many_connections"):
                raise
            time.sleep(seconds)
    return post(path, body, **options)


class Turn:
    """A turn of an agent, from `with` to its end."""

    def __init__(self, agent, session, holder, background=False, wait_s=600, preempt=False, after=None,
                 socket_path=SOCKET):
        self.agent, self.wait_s, self.socket_path = agent, wait_s, socket_path
        # The key: a begin whose answer was lost can be sent again, and gets the same turn instead of a second one.
        self.asked = {"session": session, "holder": holder, "class": "background" if background else "interactive",
                      "on_busy": "queue", "wait_s": wait_s, "preempt": preempt, "key": str(uuid.uuid4())}
        if after is not None:
            self.asked["after"] = after
        # Set when the work has to stop, and why.
        self.must_stop, self.cancelled, self.cut_off = threading.Event(), False, None
        self.failure, self.has_failed, self.answer = None, False, None
        self.is_over = threading.Event()

    def __enter__(self):
        begun = post_patiently(f"/v1/agents/{quote(self.agent, safe='')}/turns", self.asked,
                               timeout=self.wait_s + 60, socket_path=self.socket_path)
        turn, self.token = begun["turn"], begun["lease_token"]
        # What a failure is about is the generation in which the turn began, whatever the agent runs on by then.
        self.id, self.subscription, self.generation = turn["id"], turn["subscription"], turn["generation"]
        self.lease_s = turn["lease_s"]
        try:
            # The first heartbeat takes the turn: before it no work must begin, for somebody else may get the session.
            self.tell("heartbeat")
            threading.Thread(target=self.beat, daemon=True).start()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def check(self):
        """Raises if the work has to stop: to be called between its steps."""
        if self.cut_off is not None:
            raise CutOff(self.cut_off)
        if self.cancelled:
            raise Cancelled("the turn was asked to stop")

    def fail(self, kind=None, **report):
        """The turn has failed; with a kind, for a reason that may move the agent: `fail("rate_limit",
        retry_after_s=3600)`. What came of the report is in `answer["failure"]` after the end."""
        self.has_failed = True
        self.failure = None if kind is None else {"kind": kind, **report}

    def __exit__(self, kind, _error, _trace):
        self.is_over.set()
        try:
            if kind is not None and issubclass(kind, Cancelled):
                self.answer = self.tell("cancelled")
            elif kind is None or not issubclass(kind, CutOff):
                end = {"result": "failed" if self.has_failed or kind is not None else "ok"}
                if self.failure is not None:
                    end["failure"] = self.failure
                self.answer = self.tell("complete", end)
        except Refused as refused:
            if kind is None or issubclass(kind, Cancelled):
                raise CutOff(str(refused)) from refused
        return False

    def tell(self, what, body=None):
        return post_patiently(f"/v1/turns/{quote(self.id, safe='')}/{what}", body, token=self.token,
                              socket_path=self.socket_path)

    def beat(self):
        pause = self.lease_s / 3
        while not self.is_over.is_set():
            try:
                # Answered when somebody asks for a stop, or after the pause.
                beaten = self.tell(f"heartbeat?wait={0 if self.cancelled else max(1, int(pause))}")
            except Exception as error:
                if not self.is_over.is_set():
                    self.cut_off = str(error)
                    self.must_stop.set()
                return
            if beaten["cancel_requested"] is not None:
                self.cancelled = True
                self.must_stop.set()
                # It is alive until its work has stopped.
                self.is_over.wait(pause)


class Interrupted(BaseException):
    """A signal, while nothing is held yet."""


SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(arguments):
    if len(arguments) < 3:
        sys.exit("usage: turn.py AGENT SESSION COMMAND [ARGUMENT...]")
    agent, session, command = arguments[0], arguments[1], arguments[2:]

    def interrupt(number, _frame):
        raise Interrupted(number)

    for number in SIGNALS:
        signal.signal(number, interrupt)
    try:
        with Turn(agent, session, holder=f"turn.py {os.getpid()}") as turn:
            # From now on a signal ends the command, and the end of the command ends the turn.
            for number in SIGNALS:
                signal.signal(number, lambda *_: turn.must_stop.set())
            environment = {**os.environ, "SWITCHMAN_TURN": turn.id, "SWITCHMAN_GENERATION": str(turn.generation)}
            child = subprocess.Popen(command, env=environment)
            threading.Thread(target=lambda: turn.must_stop.wait() and child.terminate(), daemon=True).start()
            status = child.wait()
            if status != 0:
                # Where it was asked to stop, it has; otherwise it has failed.
                turn.check()
                turn.fail()
    except Cancelled:
        pass
    except Interrupted as signalled:
        return 128 + signalled.args[0]
    except (Refused, CutOff, OSError) as error:
        print(f"turn.py: {error}", file=sys.stderr)
        return 3
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
