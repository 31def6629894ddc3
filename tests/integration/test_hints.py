# SPDX-License-Identifier: Apache-2.0
"""What administrators paste into a configuration, and what `check` tells them to write instead."""
import json
import pathlib
import re
import subprocess
import tempfile

import pytest

from tests.harness.collector import Collector
from tests.harness.daemon import BINARY, Daemon
from tests.harness.lab import wait_for
from tests.harness.traffic import TcpServer, tcp_client
from tests.integration.test_discovery import daemon_on


def judged(configuration, name="conf.yaml"):
    """The problems of a configuration."""
    with tempfile.TemporaryDirectory(prefix="flowd-test-", dir="/run") as folder:  # root's own
        conf = pathlib.Path(folder) / name
        conf.write_text(configuration)
        done = subprocess.run([str(BINARY), "check", "--json", "--conf", str(conf)], capture_output=True, text=True, timeout=60)
        return json.loads(done.stdout)["problems"]


def the_error(configuration, name="conf.yaml"):
    errors = [one for one in judged(configuration, name) if one["level"] == "error"]
    assert len(errors) == 1, errors
    return errors[0]


def firefly(options):
    return f"plugins: {{fireflyp: {{}}}}\nbackends: {{firefly: {{{options}}}}}\n"


def marker(interface):
    return ("plugins: {perfsonar: {experimentId: 2, activityId: 16}}\n"
            f"backends: {{firefly: {{}}, marker: {{targetInterfaces: [\"{interface}\"]}}}}\n")


@pytest.mark.parametrize("configuration, hint", [
    (firefly("sendToCollector: true, collectorAddress: 'collector.example.org:20514'"),
     "write `collectorAddress: collector.example.org` and `collectorPort: 20514`"),
    (firefly("sendToCollector: true, collectorAddress: [a.example.org, b.example.org]"),
     "write `collectors: [{address: a.example.org}, {address: b.example.org}]`"),
    (firefly("sendToCollector: true, collectorAddress: '${COLLECTOR}'"), "variables are not substituted: write the value itself"),
    (firefly("collectors: [a.example.org]"), "write {address: a.example.org}"),
    (firefly("collectors: [{address: 'fe80::1'}]"), "write fe80::1%INTERFACE, for example fe80::1%eth0"),
    ("plugins: {fireflyp: {bindAddress: 'fe80::1', allow: ['fe80::/10']}}\nbackends: {firefly: {}}\n",
     'write "::", and allow: ["fe80::/10"]'),
    ("plugins: {fireflyp: {binds: [{address: 'fe80::1'}], allow: ['fe80::/10']}}\nbackends: {firefly: {}}\n",
     'write "::", and allow: ["fe80::/10"]'),
    ("plugins: {api: {bindAddress: 'fe80::1', token: a-token-of-enough-characters}}\nbackends: {firefly: {}}\n",
     'use another address of this host, or "::"'),
    ("plugins: {api: {}}\nbackends: {metrics: {bindAddress: 'fe80::1', token: a-token-of-enough-characters}}\n",
     'use another address of this host, or "::"'),
    (marker("eno1np0@if3"), "write eno1np0"),
    (marker("bond0:1"), "write bond0"),
    ("common: &common {sendToCollector: true}\nplugins: {fireflyp: {}}\nbackends: {firefly: {<<: *common}}\n", None),
    ("plugins:\n\tfireflyp: {}\n", "indent with spaces"),
])
def test_pasted_urls_have_a_hint(configuration, hint):
    """cases C54 and C55: what is pasted into a field for one host, and YAML that is not supported, by name"""
    if hint is None:  # the group of common keys is one that no daemon knows
        merge = [one for one in judged(configuration) if one["path"].endswith("<<")]
        assert [one["message"] for one in merge] == ["merge keys are not supported"]
    else:
        assert the_error(configuration)["hint"] == hint


def test_the_sample_of_the_documentation_is_reported_by_its_meaning():
    """case C15"""
    sample = {"settings": {"plugin": "", "backends": ["udp_firefly"], "flow_map_api": "https://scitags.org/api.json"},
              "firefly": {"collector_host": "collector.scitags.org", "collector_port": 10514}}
    error = the_error(json.dumps(sample), "conf.json")
    meant = re.search(r"it means: (\{.*\}\}\})", error["hint"])[1]
    # It can be used as it is.
    assert [one for one in judged(f"{meant[:-1]}, plugins: {{fireflyp: {{}}}}}}\n") if one["level"] == "error"] == []


@pytest.mark.parametrize("configuration", [
    marker("NAME"),
    "plugins: {perfsonar: {experimentId: 3, activityId: 2, interfaces: [\"NAME\"]}}\nbackends: {firefly: {}}\n",
    "plugins: {netlink: {rules: [{interface: \"NAME\", experiment: 3, activity: 2}]}}\nbackends: {firefly: {}}\n",
    firefly("collectors: [{address: \"fe80::1%NAME\"}]"),
], ids=["marker", "perfsonar", "netlink", "firefly"])
def test_names_of_interfaces_as_ip_prints_them_are_refused_by_every_module(configuration):
    """case C35: the peer of a veth, an alias; names with dots, of 15 characters and longer alternative ones are valid."""
    error = the_error(configuration.replace("NAME", "eno1np0@if3"))
    assert "is how `ip link` shows an interface and its peer" in error["message"] and error["hint"] == "write eno1np0"
    error = the_error(configuration.replace("NAME", "bond0:1"))
    assert "is an alias of bond0, not an interface" in error["message"] and error["hint"] == "write bond0"
    for name in ("bond0.3455", "enp0s31f6np0v12", "enp193s0f1np1-with-a-long-name"):
        assert [one for one in judged(configuration.replace("NAME", name)) if one["level"] == "error"] == []


@pytest.mark.parametrize("configuration, level, hint", [
    ("plugins: {perfsonar: {experimentId: 3, activityId: 206}}\nbackends: {firefly: {}}\n", "error",
     "206 is a scitag: experiment cms (3), activity Analysis Input (14)"),
    ("plugins: {perfsonar: {experimentId: 3, activityId: 196664}}\nbackends: {firefly: {}}\n", "error",
     "196664 is a flow label: experiment cms (3), activity Analysis Input (14)"),
    ("plugins: {netlink: {rules: [{experiment: atlas, activity: 65}]}}\nbackends: {firefly: {}}\n", "warning",
     "65 is a scitag: experiment default (1), activity default (1)"),
    ("plugins: {netlink: {rules: [{experiment: 206, activity: 14}]}}\nbackends: {firefly: {}}\n", "warning",
     "206 is a scitag: experiment cms (3), activity Analysis Input (14)"),
    ("plugins: {iperf3: {minSourcePort: 5201, maxSourcePort: 5210, experimentIDs: [3], activityIDs: [206]}}\nbackends: {firefly: {}}\n",
     "warning", "206 is a scitag: experiment cms (3), activity Analysis Input (14)"),
])
def test_a_scitag_or_label_where_an_id_belongs_is_recognised(configuration, level, hint):
    """cases C01 and C56: in the options of every module, in rules and in lists"""
    assert (level, hint) in [(one["level"], one.get("hint")) for one in judged(configuration)]


@pytest.mark.parametrize("words, hint", [
    (["decode", "206"], "looks like a scitag: experiment cms (3), activity Analysis Input (14), its label is 0x30038"),
    (["decode", "132"], "looks like a scitag: experiment atlas (2), activity Data Consolidation (4), its label is 0x10010"),
    (["decode", "313"], "looks like a scitag that is not in the registry: experiment lhcb (4), activity 57"),
    (["decode", "--scitag", "313"], "not in the registry"),
    (["decode", "--scitag", "196664"], "it looks like a label, the scitag is 206 (experiment cms (3), activity Analysis Input (14))"),
    (["encode", "3", "206"], "206 is a scitag: experiment cms (3), activity Analysis Input (14)"),
    (["encode", "206", "14"], None),
])
def test_the_decoder_has_the_same_hints(words, hint):
    """case C01"""
    done = subprocess.run([str(BINARY), "label", "--json", *words], capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        assert f"hint: {hint}\n" in done.stderr, done
    else:
        assert json.loads(done.stdout).get("hint") == hint, done


def test_check_shows_the_tag_of_each_option_by_name():
    """case C16: 132 is ATLAS, not CMS; and experiment 1 is no experiment."""
    with tempfile.TemporaryDirectory(prefix="flowd-test-", dir="/run") as folder:
        conf = pathlib.Path(folder) / "conf.yaml"
        conf.write_text("plugins:\n  perfsonar: {experimentId: 1, activityId: 2}\n"
                        "  netlink: {rules: [{experiment: 2, activity: 4}, {experiment: 0, activity: 0}]}\nbackends: {firefly: {}}\n")
        done = subprocess.run([str(BINARY), "check", "--conf", str(conf)], capture_output=True, text=True, timeout=60)
        assert done.stdout.splitlines() == [
            f"{conf}:2:3: note: plugins.perfsonar: experiment default (1), activity perfSONAR (2)",
            f"{conf}:3:21: note: plugins.netlink.rules[0]: experiment atlas (2), activity Data Consolidation (4)",
            f"{conf}: usable: 2 plugins, 1 backend, 0 enrichers; 0 warnings"]
        answer = json.loads(subprocess.run([str(BINARY), "check", "--json", "--conf", str(conf)], capture_output=True, text=True).stdout)
        assert [(one["option"], one["experiment"], one["activityId"]) for one in answer["tags"]] == [
            ("plugins.perfsonar", "default", 2), ("plugins.netlink.rules[0]", "atlas", 4)]


def test_an_alternative_name_of_an_interface_is_resolved(lab):
    """What udev gives besides the name, `ip link` shows as altname."""
    lab.a.run("ip", "link", "property", "add", "dev", "eth0", "altname", "enp193s0f1np1")
    lab.a.run("ip", "link", "property", "add", "dev", "eth0", "altname", "enp193s0f1np1-with-a-long-name")
    for name in ("enp193s0f1np1", "enp193s0f1np1-with-a-long-name"):
        with Daemon(marker(name), lab.a) as daemon:
            marked, = daemon.cli("marker", "status")["interfaces"]
            assert (marked["interface"], marked["chosenBy"]) == ("eth0", f"configured as {name}")
            assert not any(one["id"].startswith("marker-") for one in daemon.cli("findings"))


def test_an_alternative_name_is_accepted_wherever_an_interface_is_named(lab):
    """To be marked, to be metered, in a rule, and as the zone of an address. Alternative names have up to 127 characters."""
    name = "enp193s0f1np1-" + "x" * 113
    lab.a.run("ip", "link", "property", "add", "dev", "eth0", "altname", name)
    addresses = json.loads(lab.b.run("ip", "-j", "-6", "addr", "show", "dev", "eth0").stdout)[0]["addr_info"]
    link_local = next(one["local"] for one in addresses if one["scope"] == "link")
    configuration = f"""\
plugins:
  perfsonar: {{experimentId: 3, activityId: 2, interfaces: [{name}]}}
  netlink: {{ignorePrivate: false, period: 1s, rules: [{{interface: {name}, experiment: 2, activity: 3}}]}}
backends:
  marker: {{targetInterfaces: [{name}]}}
  firefly: {{sendToDestination: false, collectors: [{{address: "{link_local}%{name}"}}]}}
"""
    server = TcpServer(lab.b, 5201)
    with Collector(lab.b) as collector, daemon_on(lab.a, configuration) as daemon:
        assert [one["interface"] for one in daemon.cli("marker", "status")["interfaces"]] == ["eth0"]
        assert "eth0" in daemon.details("plugin perfsonar")["summary"]
        assert [one for one in daemon.cli("findings") if one["severity"] != "note"] == []
        with tcp_client(lab.a, lab.b, 5201) as sock:
            sock.sendall(b"x" * 1000)
            collector.wait_for_count(1, 30)
            port = sock.getsockname()[1]
        wait_for(lambda: (2, 3) in [(one["context"]["experiment-id"], one["context"]["activity-id"])
                                    for one in list(collector.fireflies) if one["flow-id"]["src-port"] == port], "the tag of the rule", 30)
    server.close()


def test_the_process_that_holds_a_port_is_named(lab):
    for configuration, holder in (("plugins: {fireflyp: {bindPort: 20514}}\n", "SOCK_DGRAM"), ("plugins: {api: {bindPort: 20514}}\n", "SOCK_STREAM")):
        process = lab.a.popen("python3", "-c", f"import socket, time; s = socket.socket(type=socket.{holder}); s.bind(('127.0.0.1', 20514)); "
                              "s.type == socket.SOCK_STREAM and s.listen(); print('bound', flush=True); time.sleep(600)",
                              stdout=subprocess.PIPE)
        try:
            process.stdout.readline()
            daemon = Daemon(configuration, lab.a)
            try:
                daemon.start(ready=False)
                assert daemon.process.wait(30) == 6, daemon.log
                assert f"python3 (pid {process.pid}" in daemon.log and "has it: stop that, or choose another port" in daemon.log, daemon.log
            finally:
                daemon.__exit__()
        finally:
            process.terminate()
            process.wait()
