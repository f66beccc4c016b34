#!/usr/bin/env python3
"""The yardstick of the benchmarks: what one would write in an afternoon.

Reports over HTTP/1.1 on a Unix socket, one asyncio.Lock per agent, one SQLite row committed per report (WAL,
synchronous=FULL). --no-store leaves the rows out; --thread commits in a thread instead of in the event loop. Which of
the two is faster was seen to change with the load of the machine: a comparison takes the better one. Standard library
only.
"""
import argparse
import asyncio
import collections
import json
import os
import sqlite3


class Service:
    def __init__(self, database, thread):
        self.thread = thread
        self.locks = collections.defaultdict(asyncio.Lock)
        self.counts = collections.Counter()
        self.store = None
        if database:
            self.store = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
            self.store.execute("PRAGMA journal_mode=WAL")
            self.store.execute("PRAGMA synchronous=FULL")
            self.store.execute("CREATE TABLE IF NOT EXISTS failure (agent TEXT, id TEXT, kind TEXT, generation INT)")

    async def report(self, agent, body):
        report = json.loads(body)
        async with self.locks[agent]:
            self.counts[agent] += 1
            if self.store:
                row = (agent, report.get("id"), report.get("kind"), report.get("generation"))
                insert = (self.store.execute, "INSERT INTO failure VALUES (?, ?, ?, ?)", row)
                if self.thread:
                    await asyncio.to_thread(*insert)
                else:
                    insert[0](*insert[1:])
            return {"outcome": "repeat", "agent": agent, "failure": f"{agent}-f{self.counts[agent]}"}

    async def connection(self, reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                line, *headers = head.decode("latin-1").split("\r\n")
                method, path, _ = line.split(" ", 2)
                length = next((int(h.split(":")[1]) for h in headers if h.lower().startswith("content-length:")), 0)
                body = await reader.readexactly(length) if length else b""
                status, answer = "200 OK", {"status": "ok"}
                if method == "POST" and path.startswith("/v1/agents/"):
                    answer = await self.report(path.split("/")[3], body)
                elif path != "/healthz":
                    status, answer = "404 Not Found", {"code": "not_found"}
                out = json.dumps(answer).encode()
                writer.write(b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
                             % (status.encode(), len(out), out))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", required=True)
    parser.add_argument("--database", default="peer.db")
    parser.add_argument("--no-store", action="store_true")
    parser.add_argument("--thread", action="store_true")
    args = parser.parse_args()
    if os.path.exists(args.socket):
        os.unlink(args.socket)
    service = Service(None if args.no_store else args.database, args.thread)
    async with await asyncio.start_unix_server(service.connection, args.socket, backlog=1024) as server:
        await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
