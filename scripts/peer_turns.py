#!/usr/bin/env python3
"""The yardstick of the benchmarks of turns: what one would write in an afternoon.

Turns over HTTP/1.1 on a Unix socket, one asyncio.Lock per session: a begin takes the lock, or is refused, or waits for
it; a complete releases it. With --database one SQLite row is committed for each of these steps (WAL, synchronous=FULL)
before the answer, in the event loop, or with --thread in a thread. Which of the two is faster depends on the machine
and its load: a comparison takes the better one. Neither restarts, nor callers that go away, nor holders that fall
silent are cared for. Standard library only; Python 3.11. It ends with its standard input.
"""
import argparse
import asyncio
import collections
import itertools
import json
import secrets
import sqlite3
import sys

REASONS = {200: "OK", 201: "Created", 403: "Forbidden", 404: "Not Found", 409: "Conflict"}


class Service:
    def __init__(self, database, thread):
        self.thread = thread
        self.locks = collections.defaultdict(asyncio.Lock)
        self.queued = collections.Counter()
        self.numbers = collections.defaultdict(lambda: itertools.count(1))
        self.turns = {}
        self.store = None
        if database:
            self.store = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
            self.store.execute("PRAGMA journal_mode=WAL")
            self.store.execute("PRAGMA synchronous=FULL")
            self.store.execute("CREATE TABLE IF NOT EXISTS step (turn TEXT, session TEXT, holder TEXT, what TEXT)")

    async def write(self, turn, what):
        if self.store:
            row = (turn["id"], turn["session"], turn["holder"], what)
            insert = (self.store.execute, "INSERT INTO step VALUES (?, ?, ?, ?)", row)
            if self.thread:
                await asyncio.to_thread(*insert)
            else:
                insert[0](*insert[1:])

    async def begin(self, agent, asked):
        lock = self.locks[agent, asked["session"]]
        if lock.locked() and asked.get("on_busy") != "queue":
            return 409, {"code": "turn_in_progress"}
        self.queued[agent] += 1
        try:
            async with asyncio.timeout(asked.get("wait_s", 60)):
                await lock.acquire()
        except TimeoutError:
            return 409, {"code": "wait_expired"}
        finally:
            self.queued[agent] -= 1
        identity, token = f"{agent}-t{next(self.numbers[agent])}", secrets.token_urlsafe(32)
        turn = {"id": identity, "agent": agent, "session": asked["session"], "holder": asked.get("holder")}
        self.turns[identity] = turn, token, lock
        await self.write(turn, "begun")
        return 201, {"turn": turn, "lease_token": token}

    async def of_holder(self, identity, verb, token, asked):
        if identity not in self.turns:
            return 404, {"code": "turn_not_found"}
        turn, own, lock = self.turns[identity]
        if not secrets.compare_digest(own, token):
            return 403, {"code": "not_the_holder"}
        if verb == "heartbeat":
            return 200, {"cancel_requested": None, "lease_s": 60}
        await self.write(turn, asked["result"])
        del self.turns[identity]
        lock.release()
        return 200, {"turn": turn, "failure": None}

    async def answer(self, method, path, token, body):
        if path == "/healthz":
            return 200, {"status": "ok"}
        match method, *path.split("/")[1:]:
            case "POST", "v1", "agents", agent, "turns":
                return await self.begin(agent, json.loads(body))
            case "POST", "v1", "turns", identity, ("heartbeat" | "complete") as verb:
                return await self.of_holder(identity, verb, token, json.loads(body or b"{}"))
            case "GET", "v1", "agents", agent:
                return 200, {"name": agent, "turns": {"queued": self.queued[agent]}}
        return 404, {"code": "not_found"}

    async def connection(self, reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                line, *rest = head.decode("latin-1").split("\r\n")
                method, path, _ = line.split(" ", 2)
                headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in rest)}
                length = int(headers.get("content-length", 0))
                body = await reader.readexactly(length) if length else b""
                token = headers.get("authorization", "").removeprefix("Lease ")
                status, document = await self.answer(method, path, token, body)
                out = json.dumps(document).encode()
                writer.write(b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
                             % (status, REASONS[status].encode(), len(out), out))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", required=True)
    parser.add_argument("--database")
    parser.add_argument("--thread", action="store_true")
    args = parser.parse_args()
    service = Service(args.database, args.thread)
    asyncio.get_running_loop().add_reader(sys.stdin, lambda: sys.exit(0))
    async with await asyncio.start_unix_server(service.connection, args.socket, backlog=1024) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
