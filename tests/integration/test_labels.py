# SPDX-License-Identifier: Apache-2.0
"""Flow labels and the registry in other people's tools: what flowd-cpp writes for them, read by tshark and pmacctd; what tcpdump and
tshark print, read by flowd-cpp."""
import csv
import io
import json
import os
import shutil
import subprocess

import pytest
from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.utils import wrpcap

from tests.harness.daemon import BINARY, BUILD, ROOT
from tests.harness.labels import ENTROPY, REGISTRY, decode, encode

SAMPLES = ROOT / "tests/data/samples"
MACS = "02:00:00:00:00:01", "02:00:00:00:00:02"  # given, so that scapy does not ask the network for them


def run(*words, text=None, check=True):
    done = subprocess.run([str(word) for word in words], input=text, capture_output=True, text=True, timeout=120)
    assert not check or done.returncode == 0, (words, done.stderr)
    return done


def flowd(*words, **more):
    return run(BINARY, *words, **more)


def registered():
    """{(experiment, activity): (name, name)}"""
    return {(e["expId"], a["activityId"]): (e["expName"], a["activityName"])
            for e in json.loads(REGISTRY.read_text())["experiments"] for a in e["activities"]}


def packet(label, port=1000):
    return Ether(src=MACS[0], dst=MACS[1]) / IPv6(src="2001:db8::1", dst="2001:db8::2", fl=label) / TCP(
        sport=port, dport=1094) / Raw(b"x" * 100)


def unregistered():
    return next(label for label in range(0x12345, 0xfffff, 977) if decode(label) not in registered())


@pytest.fixture
def capture(tmp_path):
    """One packet for each registered tag, each with other entropy, then one without a tag and one with a random label."""
    labels = [encode(*tag) | (0x40001 * n & ENTROPY) for n, tag in enumerate(registered())] + [0, unregistered()]
    path = tmp_path / "labels.pcap"
    wrpcap(str(path), [packet(label, 1000 + n) for n, label in enumerate(labels)])
    return path


@pytest.fixture
def dissector(tmp_path):
    path = tmp_path / "scitags.lua"
    path.write_text(flowd("label", "export", "--for", "wireshark").stdout)
    return path


def test_clickhouse_is_told_every_label_of_every_registered_tag():
    rows = list(csv.DictReader(io.StringIO(flowd("label", "export", "--for", "clickhouse").stdout)))
    assert len({row["label"] for row in rows}) == len(rows) == 32 * len(registered())
    for row in rows:
        tag = int(row["experiment_id"]), int(row["activity_id"])
        assert decode(int(row["label"])) == tag
        assert registered()[tag] == (row["experiment"], row["activity"])


def test_wireshark_shows_registered_tags_and_no_others(capture, dissector):
    fields = ["scitags.experiment", "scitags.activity", "scitags.experiment_name", "scitags.activity_name", "scitags.scitag"]
    shown = run("tshark", "-X", f"lua_script:{dissector}", "-r", capture, "-T", "fields", *[w for f in fields for w in ("-e", f)])
    assert "Lua" not in shown.stderr, shown.stderr
    rows = [line.split("\t") for line in shown.stdout.splitlines()]
    wanted = [[str(e), str(a), *names, str(e * 64 + a)] for (e, a), names in registered().items()]
    assert rows == wanted + [[""] * 5] * 2
    found = run("tshark", "-X", f"lua_script:{dissector}", "-r", capture, "-Y", 'scitags.experiment_name == "lhcb"').stdout
    assert len(found.splitlines()) == len([tag for tag in registered() if tag[0] == 4])


def test_wireshark_dissects_fireflies_of_every_emitter(tmp_path, dissector):
    lines = [line for name in ("xrootd", "dcache", "flowd-go", "flowd-go-bare", "flowd-py")
             for line in (SAMPLES / f"{name}.txt").read_text().splitlines() if not line.startswith("#")]
    path = tmp_path / "fireflies.pcap"
    hostile = [b"{", b"\x00\xff{}", b'{"state":"start","src-ip":"\xff"}', b"", b'x{"state":"end","src-port":99999999999999999999}']
    wrpcap(str(path), [Ether(src=MACS[0], dst=MACS[1]) / IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP(sport=5000, dport=10514) / Raw(payload)
                       for payload in [line.encode() for line in lines] + hostile])
    shown = run("tshark", "-X", f"lua_script:{dissector}", "-r", path, "-T", "fields", "-e", "firefly.state", "-e", "firefly.source",
                "-e", "firefly.experiment", "-e", "_ws.col.Info")
    assert "Lua" not in shown.stderr and "Lua" not in shown.stdout, shown
    rows = [line.split("\t") for line in shown.stdout.splitlines()][:len(lines)]
    for line, row in zip(lines, rows, strict=True):
        firefly = json.loads(line[line.index("{"):])
        assert row[0] == firefly["flow-lifecycle"]["state"]
        assert row[1].endswith(f":{firefly['flow-id']['src-port']}")
        assert row[2] == str(firefly["context"]["experiment-id"])
        assert row[3].startswith(row[0] + " tcp ") or row[3].startswith(row[0] + " udp ")


def test_pmacct_tags_packets_with_the_scitag(capture, tmp_path):
    table, answer = tmp_path / "scitags.map", tmp_path / "answer.json"
    table.write_text(flowd("label", "export", "--for", "pmacct").stdout)
    conf = tmp_path / "pmacctd.conf"
    conf.write_text(f"daemonize: false\npcap_savefile: {capture}\npre_tag_map: {table}\naggregate: tag\nplugins: print\n"
                    f"print_output: json\nprint_refresh_time: 60\nprint_output_file: {answer}\n")
    run("/usr/sbin/pmacctd", "-f", conf, check=False)
    tags = {json.loads(line)["tag"] for line in answer.read_text().splitlines()}
    assert tags == {e * 64 + a for e, a in registered()} | {0}


def test_what_tcpdump_and_tshark_print_is_decoded(capture):
    wanted = [f"experiment {names[0]} ({e}), activity {names[1]} ({a})" for (e, a), names in registered().items()]
    for printed in (run("tcpdump", "-nvr", capture).stdout,
                    run("tshark", "-r", capture, "-V").stdout,
                    run("tshark", "-r", capture, "-T", "json").stdout,
                    run("tshark", "-r", capture, "-T", "pdml").stdout,
                    run("tshark", "-r", capture, "-T", "fields", "-e", "ipv6.flow").stdout):
        lines = [line.split("  ", 1) for line in flowd("label", "decode", "-", text=printed).stdout.splitlines()]
        assert [text for _, text in lines if text.startswith("experiment")] == wanted
        assert "probably not a SciTag" in lines[-1][1]


def copy_of_the_installation(tmp_path):
    """The registry is found relative to the program."""
    prefix = tmp_path / "prefix"
    (prefix / "bin").mkdir(parents=True)
    shutil.copy(BINARY, prefix / "bin")
    (prefix / "share/flowd-cpp").mkdir(parents=True)
    for file in (BUILD / "share/flowd-cpp/catalog.yaml", REGISTRY):
        shutil.copy(file, prefix / "share/flowd-cpp")
    return prefix


def test_an_update_of_the_registry_is_shown_and_replaces_the_file_at_once(tmp_path):
    prefix = copy_of_the_installation(tmp_path)
    packaged, target = prefix / "share/flowd-cpp/registry.json", prefix / "etc/flowd-cpp/registry.json"
    conf = tmp_path / "conf.yaml"
    conf.write_text("plugins: {perfsonar: {experimentId: xenon, activityId: 1}}\n")
    program = [prefix / "bin/flowd-cpp", "--conf", conf, "--modules", BUILD / "lib/flowd-cpp/modules", "registry"]
    changed = json.loads(REGISTRY.read_text())
    changed["experiments"] = [e for e in changed["experiments"] if e["expName"] != "xenon"]
    changed["experiments"][0]["activities"].append({"activityName": "New", "activityId": 60})
    new = tmp_path / "api.json"
    new.write_text(json.dumps(changed))

    dry = json.loads(run(*program, "update", new, "--dry-run", "--json").stdout)
    assert not dry["replaced"] and not target.exists()
    (prefix / "etc/flowd-cpp").mkdir(parents=True)
    shutil.copy(REGISTRY, target)
    target.chmod(0o640)
    done = json.loads(run(*program, "update", new, "--json").stdout)
    assert done["replaced"] and done["changes"] == dry["changes"]
    assert {"change": "added", "experiment": 1, "activity": 60, "after": "New"} in done["changes"]
    assert {"change": "removed", "experiment": 14, "before": "xenon"} in done["changes"]
    assert any("xenon" in json.dumps(warning) for warning in done["warnings"]), done
    assert target.read_text() == new.read_text() and target.stat().st_mode & 0o777 == 0o640
    assert len(os.listdir(target.parent)) == 1, "nothing is left behind"
    assert packaged.read_text() == REGISTRY.read_text(), "the file of the package is as it was"
    again = json.loads(run(*program, "update", new, "--json").stdout)
    assert (again["replaced"], again["changes"], again["warnings"]) == (False, [], [])

    changed["experiments"][0]["expId"] = 512
    for content in (json.dumps(changed), "{}", "not JSON", json.dumps({"experiments": changed["experiments"] * 2})):
        new.write_text(content)
        refused = run(*program, "update", new, check=False)
        assert (refused.returncode, refused.stdout) == (2, "") and "hint:" in refused.stderr
        assert json.loads(target.read_text())["experiments"][0]["expId"] == 1
    assert run(*program, "update", tmp_path / "none", check=False).returncode == 7


def test_the_registry_of_the_site_precedes_that_of_the_package(tmp_path):
    """An upgrade of the package does not undo an update, but a registry that is older than the package's is named."""
    prefix = copy_of_the_installation(tmp_path)
    program = [prefix / "bin/flowd-cpp", "registry"]
    newer = tmp_path / "api.json"
    newer.write_text(json.dumps(json.loads(REGISTRY.read_text()) | {
        "modified": "2999-01-01T00:00:00+00:00", "experiments": [{"expName": "only", "expId": 7, "activities": []}]}))
    run(*program, "update", newer)
    assert [one["name"] for one in json.loads(run(*program, "list", "--json").stdout)] == ["only"]
    (prefix / "share/flowd-cpp/registry.json").write_text(newer.read_text().replace("2999", "3000"))
    listed = run(*program, "list")
    assert "is older than that of the package" in listed.stderr and str(prefix / "etc/flowd-cpp/registry.json") in listed.stderr
    (prefix / "etc/flowd-cpp/registry.json").unlink()
    assert run(*program, "list").stderr == ""


def test_the_registry_is_listed_and_an_experiment_shown():
    listed = json.loads(flowd("registry", "list", "--json").stdout)
    assert sum(row["activities"] for row in listed) == len(registered())
    for word in ("CMS", "3"):
        shown = json.loads(flowd("registry", "show", word, "--json").stdout)
        assert {"activity": 14, "name": "Analysis Input", "scitag": 206, "label": "0x30038"} in shown["activities"]
    assert "did you mean" in flowd("registry", "show", "lhc", check=False).stderr
    assert flowd("registry", "show", "99", check=False).returncode == 2
