# SPDX-License-Identifier: Apache-2.0
"""Flows over HTTP, with the real daemon: each path, status code and example of the API's own description, and load."""
import contextlib
import http.client
import json
import os
import socket

import jsonschema
import pytest

from tests.harness.collector import Collector
from tests.harness.daemon import BUILD, Daemon
from tests.harness.http import Api
from tests.harness.lab import wait_for
from tests.harness.pairs import destination, expect_every_pair, source_port

BACKENDS = """\
backends:
  marker:
    targetInterfaces: [eth0]
  firefly:
    sendToCollector: true
    collectorAddress: "fd5c:17a6:5::b"
"""
CONFIGURATION = "plugins:\n  api: {}\n" + BACKENDS
LIVE_MODULES = BUILD / "tests" / "modules" / "live" / "modules"
TOKEN = "a-token-of-enough-characters"


def flow(state, number=0):
    return {"state": state, "protocol": "tcp", "source": {"address": "fd5c:17a6:5::a", "port": source_port(number)},
            "destination": {"address": destination(number), "port": 1094}, "experiment": 2, "activity": 16}


def request(state, number):
    body = json.dumps(flow(state, number)).encode()
    return (b"POST /flow HTTP/1.1\r\nHost: flowd\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)) + body


def receive(sock, answers):
    """Reads until so many answers have come; the text of them all."""
    text = b""
    while text.count(b"HTTP/1.1 ") < answers or not text.endswith(b"\n"):
        piece = sock.recv(65536)
        assert piece, text
        text += piece
    return text


def test_a_hundred_thousand_flows_reach_both_backends_once_in_order(lab):
    pairs = 100_000
    with Collector(lab.b) as collector, Daemon(CONFIGURATION, lab.a) as daemon:
        with lab.a.call(socket.create_connection, ("127.0.0.1", 7777), 30) as sock:
            for first in range(0, pairs, 50):
                sock.sendall(b"".join(request("start", n) + request("end", n) for n in range(first, first + 50)))
                assert receive(sock, 100).count(b'{"accepted":1}') == 100
                # The collector, a Python program, is the slowest: keep its socket from overflowing.
                wait_for(lambda: len(collector.fireflies) > 2 * first - 5_000, "the collector to keep up")
        expect_every_pair(collector, daemon, pairs)
        assert daemon.details("plugin api")["announced"] == {"start": pairs, "ongoing": 0, "end": pairs}
        assert daemon.stop() == 0


def test_a_client_that_retries_after_503_loses_nothing(lab):
    count = 500
    with Collector(lab.b) as collector, Daemon("queues: {events: 16}\n" + CONFIGURATION, lab.a) as daemon:
        with Api.at(lab.a) as api:
            for first in range(0, count, 20):
                flows = [flow("start", first + n) for n in range(20)]
                while True:
                    status, headers, _ = api.post(flows)
                    if status == 200:
                        break
                    assert status == 503 and headers["Retry-After"] == "1"
        collector.wait_for_count(count)
        assert sorted(f["flow-id"]["src-port"] for f in collector.fireflies) == [source_port(n) for n in range(count)]
        assert daemon.cli("flows")["live"] == count


def test_requests_of_a_burst_wait_for_the_backends_without_retries(lab):
    clients, each = 20, 100
    with Collector(lab.b) as collector, Daemon("queues: {events: 16}\n" + CONFIGURATION, lab.a) as daemon:
        with contextlib.ExitStack() as stack:
            apis = [stack.enter_context(Api.at(lab.a)) for _ in range(clients)]
            for first in range(0, each, 20):
                for client, api in enumerate(apis):  # all of them at once: far more than the queues hold
                    flows = [flow("start", client * each + first + n) for n in range(20)]
                    api.connection.request("POST", "/flow", json.dumps(flows), {"Content-Type": "application/json"})
                for api in apis:
                    response = api.connection.getresponse()
                    assert (response.status, json.loads(response.read())) == (200, {"accepted": 20})
                # The collector, a Python program, is the slowest: keep its socket from overflowing.
                collector.wait_for_count(clients * (first + 20))
        assert sorted(f["flow-id"]["src-port"] for f in collector.fireflies) == [source_port(n) for n in range(clients * each)]
        seen = daemon.details("plugin api")
        assert seen["full"] == 0 and seen["waited"] > 0 and seen["waiting"] == 0, seen


# -- the description ---------------------------------------------------------------------------------------------------


class Description:
    """The document that the daemon serves, and what of it was seen to be true."""

    def __init__(self, document):
        self.document, self.seen = document, set()
        self.resolver = jsonschema.RefResolver.from_schema(document)

    def resolved(self, part):
        return self.resolver.resolve(part["$ref"])[1] if "$ref" in part else part

    def documented(self):
        return {(method.upper(), path, int(code)) for path, item in self.document["paths"].items()
                for method, operation in item.items() for code in operation["responses"]}

    def judge(self, schema, value):
        jsonschema.validate(value, schema, cls=jsonschema.Draft202012Validator, resolver=self.resolver)

    def saw(self, method, path, answer):
        """An answer has to be documented, of the documented type and form, with the documented headers."""
        status, headers, body = answer
        operation = self.document["paths"][path][method.lower()]
        response = self.resolved(operation["responses"][str(status)])
        (kind, content), = response["content"].items()
        assert headers["Content-Type"] == kind
        for value in body if kind == "application/x-ndjson" else [body]:
            self.judge(content["schema"], value)
        for name in response.get("headers", {}):
            assert headers[name], name
        self.seen.add((method, path, status))
        return answer


@pytest.fixture(scope="module")
def description():
    text = (BUILD.parents[1] / "plugins" / "api" / "openapi.json").read_text()
    return Description(json.loads(text))


def test_the_openapi_document_is_served_unchanged(lab, description):
    with Daemon("plugins:\n  api: {}\n", lab.a), Api.at(lab.a) as api:
        served = description.saw("GET", "/openapi.json", api.get("/openapi.json"))[2]
        assert served == description.document
        listed = {(route["method"], route["path"])
                  for route in description.saw("GET", "/", api.get("/"))[2]["ApiRoutes"]}
        assert listed == {(method, path) for method, path, _ in description.documented()}


def test_every_example_of_the_openapi_document_is_correct(lab, description):
    post = description.document["paths"]["/flow"]["post"]
    content = post["requestBody"]["content"]["application/json"]
    with Collector(lab.b) as collector, Daemon(CONFIGURATION, lab.a) as daemon, Api.at(lab.a) as api:
        for name, example in content["examples"].items():
            description.judge(content["schema"], example["value"])
            answer = description.saw("POST", "/flow", api.post(example["value"]))
            assert answer[0] == 200, (name, answer)
        status = daemon.details("plugin api")
        assert status["announced"] == {"start": 4, "ongoing": 1, "end": 2} and status["notTaken"] == 0
        # Start and end of the first flow, of the second (udp: start, ongoing), of flowd-go's, and a firefly's start.
        collector.wait_for_count(6)
        page = description.saw("GET", "/flows", api.get("/flows?limit=1"))[2]
        assert page["live"] == 2 and len(page["flows"]) == 1
        for query, count in [("experiment=atlas&activity=16", 1), ("port=1094&protocol=udp", 0), ("protocol=17", 1),
                             ("network=2001%3Adb8%3A%3A%2F32", 1), ("announcer=api", 2), ("announcer=namedpipe", 0)]:
            assert len(description.saw("GET", "/flows", api.get(f"/flows?{query}"))[2]["flows"]) == count, query
        last = description.saw("GET", "/flows", api.get(f"/flows?cursor={page['next']}"))[2]
        assert len(last["flows"]) == 1 and "next" not in last
        ended = description.saw("GET", "/history", api.get("/history"))[2]
        assert ended["ended"] == 2 == len(ended["flows"]) and {one["endReason"] for one in ended["flows"]} == {"announced"}
        wait_for(lambda: api.get("/history/minutes")[2]["minutes"], "the first sums")
        minutes = description.saw("GET", "/history/minutes", api.get("/history/minutes?from=2020-01-01T00:00:00Z"))[2]["minutes"]
        assert sum(minute["started"] for minute in minutes) == 4
        events = description.saw("GET", "/events", api.get("/events?last=1000&follow=no"))[2]
        assert [event["event"] for event in events if "event" in event].count("end") == 2 and "next" in events[-1]
    for item in description.document["paths"].values():
        for operation in item.values():
            for response in map(description.resolved, operation["responses"].values()):
                for kind in response["content"].values():
                    for example in kind.get("examples", {}).values():
                        description.judge(kind["schema"], example["value"])


def test_every_documented_refusal_occurs(lab, description):
    with Daemon("plugins:\n  api: {maxBody: 8192}\n", lab.a), Api.at(lab.a) as api:
        for path in ("/dummy/start", "/dummy/end"):
            description.saw("GET", path, api.get(path))
        wrong, reason = flow("start") | {"source": {"address": "::1", "port": 0}}, "source.port: is not a number from 1 to 65535"
        assert description.saw("POST", "/flow", api.post(wrong))[2]["detail"] == reason
        each = description.saw("POST", "/flows", api.post([flow("start", 7), wrong, flow("start", 8)], "/flows"))
        assert each[0] == 200 and each[2] == {"accepted": 2, "refused": [{"flow": 1, "detail": reason}]}
        assert description.saw("POST", "/flows", api.post([], "/flows"))[0] == 400
        for path in ("/flow", "/flows"):
            assert description.saw("POST", path, api.post("x" * 8193, path))[0] == 413
            assert description.saw("POST", path, api.post(flow("start"), path, Content_Type="text/plain"))[0] == 415
        for path, query in (("/flows", "limit=0"), ("/history", "limit=0"), ("/history/minutes", "from=now"), ("/events", "last=x")):
            assert description.saw("GET", path, api.get(f"{path}?{query}"))[0] == 400


def test_a_cursor_or_a_position_that_the_daemon_has_not_issued_is_refused(lab, description):
    with Daemon("plugins:\n  api: {}\n", lab.a), Api.at(lab.a) as api:
        api.post([flow("start"), flow("end"), flow("start", 1)])
        for path, parameter in (("/flows", "cursor"), ("/history", "cursor"), ("/events", "follow=no&after")):
            for forged in ("1", "7", str(2**63), str(2**64 - 1), "-1", "x", "0x10", str(2**64)):
                answer = description.saw("GET", path, api.get(f"{path}?{parameter}={forged}"))
                assert answer[0] == 400, (path, forged)


def test_generated_requests_are_answered_as_the_document_says(lab, description):
    """Parameters of each GET, valid and not, in random combinations: the answer is documented, has the documented form, and is
    200 exactly if the document allows all values."""
    random = __import__("random").Random(19)
    texts = {"experiment": (["2", "atlas", "CMS"], ["nothing", ""]), "activity": (["16", "1"], ["x y"]),
             "network": (["2001:db8::/32", "192.0.2.1"], ["::1/8", "host"]), "protocol": (["tcp", "17"], ["0", "ip"]),
             "announcer": (["api", "x"], []), "from": (["2026-11-26T10:00:00Z"], ["yesterday"]), "cursor": (["0"], ["-1"]),
             "after": (["0"], ["-1", "7"]), "follow": (["no"], ["maybe"]),
             "filter": (["", "port=1094", "experiment=atlas age>1h", "bytes>1G marked=no", "application~\"a b\""],
                        ["port", "prt=1", "port=x", "age>1", "x" * 1025, "id=1 " * 33])}

    def values(parameter):
        if parameter["name"] in texts:
            return texts[parameter["name"]]
        schema = parameter["schema"]
        lowest, highest = schema["minimum"], schema["maximum"]
        return ([str(lowest), str(highest), str(random.randint(lowest, highest))], [str(lowest - 1), str(highest + 1), "", "x"])

    quote = __import__("urllib.parse").parse.quote
    with Daemon("plugins:\n  api: {}\n", lab.a) as daemon, Api.at(lab.a) as api:
        api.post([flow("start", n) for n in range(5)] + [flow("end", n) for n in range(3)])
        statuses = set()
        for path in ("/flows", "/history", "/history/minutes", "/events"):
            parameters = [description.resolved(one) for one in description.document["paths"][path]["get"]["parameters"]]
            for _ in range(150):
                query, is_good = [], True
                for parameter in random.sample(parameters, random.randint(0, min(3, len(parameters)))):
                    good, bad = values(parameter)
                    takes_bad = bool(bad) and random.random() < 0.2
                    is_good = is_good and not takes_bad
                    query.append(parameter["name"] + "=" + quote(random.choice(bad if takes_bad else good)))
                if path == "/events" and not any(one.startswith("follow") for one in query):
                    query.append("follow=no")
                if random.random() < 0.05:
                    query.append("unknown=1")
                    is_good = False
                answer = description.saw("GET", path, api.get(path + "?" + "&".join(query)))
                assert answer[0] == (200 if is_good else 400), (path, query, answer)
                statuses.add(answer[0])
        assert statuses == {200, 400}
        assert daemon.stop() == 0


def test_a_slow_reader_of_events_is_told_what_it_lost_and_delays_nobody(lab):
    pairs = 40_000
    with Daemon("plugins:\n  api: {}\n", lab.a) as daemon, Api.at(lab.a) as api, Api.at(lab.a) as slow:
        slow.connection.request("GET", "/events")
        response = slow.connection.getresponse()
        for first in range(0, pairs, 1000):
            flows = [flow(state, n) | {"application": "x" * 200} for n in range(first, first + 1000) for state in ("start", "end")]
            assert api.post(flows)[0] == 200
        seen = lost = 0
        while seen + lost < 2 * pairs:
            line = json.loads(response.readline())
            seen += "event" in line
            lost += line.get("lost", 0)
        assert seen + lost == 2 * pairs and lost > 0
        assert daemon.details("plugin api")["eventsLost"] == lost
        assert daemon.stop() == 0


def test_events_are_streamed_and_streams_are_limited(lab, description):
    with Daemon("plugins:\n  api: {}\n", lab.a) as daemon, contextlib.ExitStack() as stack:
        def stream(query=""):
            api = stack.enter_context(Api.at(lab.a))
            api.connection.request("GET", "/events" + query)
            response = api.connection.getresponse()
            assert response.status == 200
            return response
        first, filtered = stream(), stream("?filter=event%3Dend")
        for _ in range(30):
            stream()
        with Api.at(lab.a) as api:
            assert description.saw("GET", "/events", api.get("/events"))[0] == 503
            api.post([flow("start"), flow("end")])
            lines = [json.loads(first.readline()) for _ in range(2)]
            assert [line["event"] for line in lines] == ["start", "end"]
            assert json.loads(filtered.readline())["event"] == "end"
            for line in lines:
                description.judge(description.document["components"]["schemas"]["EventLine"], line)
        assert daemon.details("plugin api")["eventStreams"] == 32
        assert daemon.stop() == 0, "streams do not delay the stop"


def test_documented_limits_are_enforced(lab, description):
    with Daemon("flows: {maxLive: 1}\nplugins:\n  api: {}\n", lab.a), Api.at(lab.a) as api:
        answer = description.saw("POST", "/flow", api.post([flow("start"), flow("start", 1)]))
        assert answer[0] == 429 and answer[2]["accepted"] == 1 and answer[2]["refusedAt"] == [1]
        assert description.saw("GET", "/dummy/start", api.get("/dummy/start"))[0] == 429
        each = api.post([flow("start"), flow("start", 1)], "/flows")
        assert each[0] == 200 and each[2]["accepted"] == 1 and "flows.maxLive" in each[2]["refused"][0]["detail"]


def test_full_queues_are_answered_as_documented(lab, description):
    configuration = ("stopTimeout: 1s\nqueues: {events: 16, stallAfter: 60s}\nplugins:\n  api: {fullTimeout: 100ms}\n"
                     "backends:\n  misbehave: {at: events, how: hang}\n")
    with Daemon(configuration, lab.a, arguments=["--modules", str(LIVE_MODULES)]) as daemon, Api.at(lab.a) as api:
        number = 0
        while (answer := description.saw("POST", "/flow", api.post(flow("start", number))))[0] == 200:
            number += 1
            assert number < 1000
        assert answer[0] == 503
        assert description.saw("POST", "/flows", api.post([flow("start", number + 1)], "/flows"))[0] == 503
        assert description.saw("GET", "/dummy/start", api.get("/dummy/start"))[0] == 503
        api.get("/flows")
        # An end of a flow that nobody knows finds no room either.
        assert description.saw("GET", "/dummy/end", api.get("/dummy/end"))[0] == 503
        daemon.stop()


def test_the_documented_token_is_required_outside_of_loopback(lab, description):
    daemon = Daemon("", lab.a)
    token = daemon.directory / "token"
    token.write_text(TOKEN + "\n")
    token.chmod(0o640)
    daemon.conf.write_text(f'plugins:\n  api:\n    bindAddress: "::"\n    tokenFile: {token}\n')
    with daemon, Api.at(lab.b, address="fd5c:17a6:5::a") as stranger:
        for method, path, _ in sorted(description.documented()):
            answer = stranger.post(flow("start"), path) if method == "POST" else stranger.get(path)
            assert description.saw(method, path, answer)[0] == 401
        with Api.at(lab.b, address="fd5c:17a6:5::a", headers={"Authorization": f"Bearer {TOKEN}"}) as friend:
            assert friend.post(flow("start"))[0] == 200
        token.write_text("another-token-of-enough-characters\n")
        daemon.reload(daemon.conf.read_text())
        with Api.at(lab.b, address="fd5c:17a6:5::a") as again:  # the successor does not know the connections of before
            assert again.get("/flows", Authorization="Bearer another-token-of-enough-characters")[0] == 200
            assert again.get("/flows", Authorization=f"Bearer {TOKEN}")[0] == 401


def test_a_waiting_announcement_is_answered_when_every_backend_has_taken_it(lab, description):
    configuration = "plugins:\n  api: {}\nbackends:\n  misbehave: {at: events, how: full-at-first}\n" + BACKENDS.split("\n", 1)[1]
    with Collector(lab.b) as collector, Daemon(configuration, lab.a, arguments=["--modules", str(LIVE_MODULES)]) as daemon:
        with Api.at(lab.a) as hurries, Api.at(lab.a) as waits:
            assert hurries.post(flow("start"))[0] == 200
            wait_for(lambda: daemon.edge("misbehave")["heldFull"] > 0, "the backend to be full")
            answer = waits.ask("POST", "/flow?wait=taken", json.dumps([flow("start", 1), flow("end", 1)]),
                               Content_Type="application/json")
            assert answer[0] == 200 and answer[2] == {"accepted": 2}
            assert daemon.edge("misbehave")["delivered"] == 3, "all that was announced before"
            collector.wait_for_count(3)
            for path in ("/dummy/start", "/dummy/end"):
                assert description.saw("GET", path, waits.get(path + "?wait=taken"))[0] == 200
                assert description.saw("GET", path, waits.get(path + "?wait=sent"))[0] == 400
        assert daemon.details("plugin api")["waitedTaken"] == 3
        assert daemon.stop() == 0


def test_a_backend_that_takes_nothing_delays_the_answer_until_a_timeout(lab, description):
    configuration = ("stopTimeout: 1s\nplugins:\n  api: {takenTimeout: %s}\nbackends:\n  misbehave: {at: events, how: %s}\n")
    with Daemon(configuration % ("200ms", "full"), lab.a, arguments=["--modules", str(LIVE_MODULES)]) as daemon:
        with Api.at(lab.a) as api:
            answer = api.ask("POST", "/flow?wait=taken", json.dumps(flow("start")), Content_Type="application/json")
            assert description.saw("POST", "/flow", answer)[0] == 504 and answer[2]["accepted"] == 1
            assert description.saw("POST", "/flows", api.post([flow("start", 1)], "/flows?wait=taken"))[0] == 504
            for path in ("/dummy/start", "/dummy/end"):
                assert description.saw("GET", path, api.get(path + "?wait=taken"))[0] == 504
            # A client that leaves harms nobody.
            gone = Api.at(lab.a)
            gone.connection.request("GET", "/dummy/start?wait=taken")
            wait_for(lambda: daemon.details("plugin api")["waitedTaken"] == 5, "the request to wait")
            gone.connection.sock.close()
            wait_for(lambda: daemon.details("plugin api")["notTakenInTime"] == 5, "its time to be over")
            assert api.get("/flows")[2]["live"] == 3
        # A reload that takes the backend away: nobody is left to take them.
        daemon.reload(configuration % ("30s", "full"))
        with Api.at(lab.a) as api:
            api.connection.request("GET", "/dummy/start?wait=taken")
            wait_for(lambda: daemon.details("plugin api")["waitingTaken"] == 1, "the request to wait")
            daemon.reload(configuration.split("backends")[0] % "30s")
            assert api.connection.getresponse().status == 200
        # One that replaces the plugin itself answers what waits.
        daemon.reload(configuration % ("30s", "full"))
        with Api.at(lab.a) as api:
            api.connection.request("GET", "/dummy/start?wait=taken")
            wait_for(lambda: daemon.details("plugin api")["waitingTaken"] == 1, "the request to wait")
            daemon.reload(configuration % ("20s", "full"))
            assert api.connection.getresponse().status == 503
        daemon.stop()


def test_every_part_of_the_openapi_document_is_tested(description):
    # 422 is for a core that refuses what this API lets pass, and 501 for one without flowd.delivery/1, which the present one
    # is not: tests/unit/api has both.
    unseen = {(method, path, code) for method, path, code in description.documented() if code in (422, 501)}
    assert description.seen | unseen == description.documented()


# -- sockets -----------------------------------------------------------------------------------------------------------


def test_a_unix_socket_offers_the_same_api(lab):
    daemon = Daemon("", lab.a)
    path = daemon.directory / "api"
    daemon.conf.write_text(f"plugins:\n  api: {{bindPort: 0, socketPath: {path}, socketMode: '0600'}}\n")
    with daemon, Api.at_path(path) as api:
        assert path.stat().st_mode & 0o777 == 0o600
        assert api.post(flow("start"))[0] == 200
        assert api.get("/flows")[2]["live"] == 1
        assert daemon.stop() == 0
        assert not path.exists(), "it was made by the daemon"


def test_the_unix_socket_outlives_a_reload_and_goes_with_the_option(lab):
    daemon = Daemon("", lab.a)
    path = daemon.directory / "api"

    def configuration(connections, socket_path=True):
        more = f", socketPath: {path}" if socket_path else ""
        return f"plugins:\n  api: {{maxConnections: {connections}{more}}}\n"

    daemon.conf.write_text(configuration(100))
    with daemon:
        inode = path.stat().st_ino
        daemon.reload(configuration(200))
        assert path.stat().st_ino == inode
        with Api.at_path(path) as api:
            assert api.get("/flows")[0] == 200
        daemon.reload(configuration(200, socket_path=False))
        assert not path.exists()
        daemon.reload(configuration(300))
        with Api.at_path(path) as api:
            assert api.get("/flows")[0] == 200
        assert daemon.stop() == 0
    assert not path.exists()


def test_a_unix_socket_of_systemd_is_not_removed(lab):
    daemon = Daemon("", lab.a)
    path = daemon.directory / "api"
    daemon.conf.write_text(f"plugins:\n  api: {{bindPort: 0, socketPath: {path}}}\n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as held:
        held.bind(str(path))
        held.listen(16)
        os.set_inheritable(held.fileno(), True)
        daemon.prefix = ["bash", "-c", f'exec 3<&{held.fileno()}; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"', "--"]
        daemon.pass_fds = [held.fileno()]
        with daemon:
            with Api.at_path(path) as api:
                assert api.get("/flows")[0] == 200
            assert daemon.stop() == 0
            assert path.exists()


def test_a_reload_hands_the_sockets_over_and_answers_every_request(lab):
    with Daemon(CONFIGURATION, lab.a) as daemon, Collector(lab.b) as collector:
        sent = 0
        for connections in (100, 200, 300):
            with Api.at(lab.a) as before:
                assert before.post(flow("start", sent))[0] == 200
            # These wait in the backlog or are taken by either; the predecessor answers what it has and says good-bye.
            waiting = [Api.at(lab.a) for _ in range(20)]
            daemon.reload(CONFIGURATION.replace("api: {}", f"api: {{maxConnections: {connections}}}"))
            for n, api in enumerate(waiting, 1):
                with api:
                    try:
                        status = api.post(flow("start", sent + n))[0]
                    except (ConnectionError, http.client.HTTPException):
                        with Api.at(lab.a) as again:  # an idle connection may be closed: HTTP clients open another
                            status = again.post(flow("start", sent + n))[0]
                    assert status == 200
            sent += 21
        collector.wait_for_count(sent)
        assert daemon.cli("flows")["live"] == sent


def test_requests_sent_before_the_start_are_answered(lab):
    def listen():
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.bind(("127.0.0.1", 7777))
        sock.listen(16)
        os.set_inheritable(sock.fileno(), True)
        return sock

    held = lab.a.call(listen)
    with Api.at(lab.a) as early:
        early.connection.putrequest("GET", "/flows")
        early.connection.endheaders()
        # As a socket unit does it: the socket is descriptor 3.
        activation = ["bash", "-c", f'exec 3<&{held.fileno()}; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"', "--"]
        with Daemon("plugins:\n  api: {}\n", lab.a, prefix=activation, pass_fds=[held.fileno()]):
            assert early.connection.getresponse().status == 200
    held.close()


def test_a_busy_port_stops_the_start(lab):
    blocker = lab.a.call(socket.create_server, ("127.0.0.1", 7777))
    with blocker:
        with pytest.raises(AssertionError, match="ended with 6"):
            Daemon("plugins:\n  api: {}\n", lab.a).__enter__()


# -- hostile clients ---------------------------------------------------------------------------------------------------


def test_hostile_clients_do_not_affect_others(lab):
    configuration = "plugins:\n  api: {maxConnections: 200, requestTimeout: 1s, maxBody: 8192}\n"
    with Daemon(configuration, lab.a) as daemon, Api.at(lab.a) as good:
        def connect():
            return lab.a.call(socket.create_connection, ("127.0.0.1", 7777), 10)

        def ask(text):
            with connect() as sock:
                sock.sendall(text)
                return sock.recv(65536)

        post = b"POST /flow HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
        assert ask(b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 20000 + b"\r\n\r\n").startswith(b"HTTP/1.1 431")
        assert ask(post + b"Content-Length: 99999999\r\n\r\n").startswith(b"HTTP/1.1 413")
        assert ask(post + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n").startswith((b"HTTP/1.1 413", b"HTTP/1.1 400"))
        assert ask(post + b"Transfer-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}").startswith(b"HTTP/1.1 501")
        assert ask(post + b"Content-Length: 6\r\n\r\n{\"a\xff\"}").startswith(b"HTTP/1.1 400")
        assert ask(b"\x16\x03\x01" + os.urandom(200) + b"\r\n\r\n").startswith(b"HTTP/1.1 400")

        slow = [connect() for _ in range(150)]
        for sock in slow:
            sock.sendall(b"POST /flow HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n")
        assert good.post(flow("start"))[0] == 200, "others are served meanwhile"
        wait_for(lambda: daemon.details("plugin api")["timedOut"] >= 150, "the slow ones to be cut off")
        for sock in slow:
            sock.close()

        many = [connect() for _ in range(250)]
        wait_for(lambda: daemon.details("plugin api")["overCap"] >= 51, "the connections beyond the cap")
        assert good.post(flow("end"))[0] == 200
        for sock in many:
            sock.close()
        status = daemon.details("plugin api")
        assert status["announced"] == {"start": 1, "ongoing": 0, "end": 1}, status
        assert daemon.stop() == 0
